"""What the Hugging Face Hub says when it refuses, in words that help.

Belongs here: errors of ``huggingface_hub`` and of the connection -> kind, cause and remedy; which of them another try may
mend. No message passes on the client's own text: it holds addresses, some of them signed.
"""

from resources.storage.hub.address import HubAddress
from resources.storage.objects import StorageError

TOKEN = "set HF_TOKEN to a token of https://huggingface.co/settings/tokens, or run `hf auth login`"
AGAIN = frozenset((408, 429, 500, 502, 503, 504))
"""Statuses after which the same request may succeed."""


def status_of(error: BaseException) -> int:
    """The HTTP status behind an error, 0 without one."""
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)


def may_pass(error: BaseException) -> bool:
    """Whether another try may bring more."""
    import httpx2

    if isinstance(error, httpx2.TransportError):
        return not _said(error).count("Name or service not known")
    return status_of(error) in AGAIN


def reached(error: BaseException) -> bool:
    """Whether there was a connection at all."""
    import httpx2

    return not isinstance(error, httpx2.ConnectError)


def silent(error: BaseException) -> bool:
    """Whether a server that was reached said nothing in time."""
    import httpx2

    return isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout)


def explain_hub(address: HubAddress, action: str, error: BaseException, signed_in: bool) -> StorageError:
    """The error for what went wrong.

    Args:
        address: what was asked for.
        action: what was to be done with it: ``read``.
        error: of ``huggingface_hub`` or of its HTTP client.
        signed_in: whether a token was sent.
    """
    kind, cause, remedy = _meaning(address, error, signed_in)
    return StorageError(f"cannot {action} '{address.uri}': {cause}; {remedy}", kind=kind)


def _meaning(address: HubAddress, error: BaseException, signed_in: bool) -> tuple[str, str, str]:
    import httpx2
    from huggingface_hub import errors

    status = status_of(error)
    if isinstance(error, errors.LocalTokenNotFoundError):
        return "denied", "no token of the Hugging Face Hub is known here", TOKEN
    if isinstance(error, errors.GatedRepoError):
        page = f"huggingface.co/{'' if address.kind == 'model' else address.kind + 's/'}{address.repo}"
        return "denied", "its owner lets in only who asked", f"accept its terms at {page}; then {TOKEN}"
    if status == 401 and _server_said(error).startswith("Invalid cred"):
        return "denied", "the Hub does not know this token", TOKEN
    if isinstance(error, errors.RepositoryNotFoundError):
        other = "" if address.kind == "model" else f"; a model is written hf://models/{address.repo}"
        why = "or this token may not see it" if signed_in else f"or it is private: {TOKEN}"
        return "not_found", f"there is no {address.kind} '{address.repo}', {why}", f"check the spelling{other}"
    if isinstance(error, errors.RevisionNotFoundError):
        return "not_found", f"it has no revision '{address.revision}'", "check the branch, tag or commit behind the @"
    if isinstance(error, errors.EntryNotFoundError | FileNotFoundError):
        return "not_found", "no such file or folder", "check the spelling, and the revision"
    if status in (401, 403):
        cause = "this token has no right to do that" if signed_in else "that needs a token"
        return "denied", cause, f"{TOKEN}, with the right to write if that is meant"
    if status == 429:
        return (
            "throttled",
            "the Hub asks for fewer requests, after many tries",
            "start again later; a token allows more",
        )
    if status == 412:
        return (
            "changed",
            "others kept committing to it",
            "start again when they are done, or write to a branch of your own",
        )
    if status >= 500:
        return "server_error", f"the Hub answered {status}", "it is at fault; start again later"
    if status:
        return "rejected", f"the Hub answered {status}", "see whether the file or name is one that it takes"
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return "timeout", "the Hub did not answer in time", "start again later"
    if isinstance(error, httpx2.ConnectError):
        dns = any(sign in _said(error) for sign in ("Name or service", "name resolution", "nodename"))
        return ("dns" if dns else "refused"), "the Hub cannot be reached", "check the network, and HF_ENDPOINT"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "refused", "HF_HUB_OFFLINE forbids it", "unset HF_HUB_OFFLINE"
    if isinstance(error, ValueError) and str(error).startswith("Invalid metadata in README.md"):
        return "rejected", " ".join(str(error).split()), "correct the first lines of the README.md"
    if isinstance(error, httpx2.TransportError):
        return "reset", "the connection broke again and again", "start again later"
    return "", f"{type(error).__name__}", "see the cause"


def _said(error: BaseException) -> str:
    return f"{error} {error.__cause__ or ''}"


def _server_said(error: BaseException) -> str:
    headers = getattr(getattr(error, "response", None), "headers", {})
    return str(getattr(error, "server_message", None) or headers.get("X-Error-Message", ""))
