"""What the Hugging Face Hub's refusals mean.

Belongs here: errors of ``huggingface_hub`` and of the connection -> kind, cause and remedy; which of them are worth
retrying. No message includes the client's own text: it contains URLs, some of them signed.
"""

from resources.storage.hub.address import HubAddress
from resources.storage.objects import StorageError

TOKEN = "set HF_TOKEN to a token of https://huggingface.co/settings/tokens, or run `hf auth login`"
AGAIN = frozenset((408, 429, 500, 502, 503, 504))
"""Statuses after which the same request may succeed."""


def status_of(error: BaseException) -> int:
    """The HTTP status of an error, 0 if it has none."""
    return int(getattr(getattr(error, "response", None), "status_code", 0) or 0)


def may_pass(error: BaseException) -> bool:
    """Whether another attempt may help."""
    import httpx2

    if isinstance(error, httpx2.TransportError):
        return not _said(error).count("Name or service not known")
    return status_of(error) in AGAIN


def reached(error: BaseException) -> bool:
    """Whether a connection was established."""
    import httpx2

    return not isinstance(error, httpx2.ConnectError)


def silent(error: BaseException) -> bool:
    """Whether a server accepted the connection but did not respond in time."""
    import httpx2

    return isinstance(error, httpx2.ReadTimeout | httpx2.WriteTimeout)


def explain_hub(address: HubAddress, action: str, error: BaseException, signed_in: bool) -> StorageError:
    """The error shown for a failure.

    Args:
        address: what was requested.
        action: what was attempted, e.g. ``read``.
        error: raised by ``huggingface_hub`` or its HTTP client.
        signed_in: whether a token was sent.
    """
    kind, cause, remedy = _meaning(address, error, signed_in)
    return StorageError(f"cannot {action} '{address.uri}': {cause}; {remedy}", kind=kind)


def _meaning(address: HubAddress, error: BaseException, signed_in: bool) -> tuple[str, str, str]:
    import httpx2
    from huggingface_hub import errors

    status = status_of(error)
    if isinstance(error, errors.LocalTokenNotFoundError):
        return "denied", "no Hugging Face token was found", TOKEN
    if isinstance(error, errors.GatedRepoError):
        page = f"huggingface.co/{'' if address.kind == 'model' else address.kind + 's/'}{address.repo}"
        return "denied", "access is restricted by its owner", f"accept its terms at {page}; then {TOKEN}"
    if status == 401 and _server_said(error).startswith("Invalid cred"):
        return "denied", "the Hub does not recognize this token", TOKEN
    if isinstance(error, errors.RepositoryNotFoundError):
        other = "" if address.kind == "model" else f"; the address of a model is hf://models/{address.repo}"
        why = "or this token has no access to it" if signed_in else f"or it is private: {TOKEN}"
        return "not_found", f"there is no {address.kind} '{address.repo}', {why}", f"check the spelling{other}"
    if isinstance(error, errors.RevisionNotFoundError):
        return "not_found", f"it has no revision '{address.revision}'", "check the branch, tag or commit behind the @"
    if isinstance(error, errors.EntryNotFoundError | FileNotFoundError):
        return "not_found", "no such file or folder", "check the spelling, and the revision"
    if status in (401, 403):
        cause = "this token has no permission for that" if signed_in else "this requires a token"
        return "denied", cause, f"{TOKEN}, with write permission if you want to write"
    if status == 429:
        return (
            "throttled",
            "the Hub still limits the rate of requests after many attempts",
            "run it again later; a token raises the limit",
        )
    if status == 412:
        return (
            "changed",
            "others kept committing to it",
            "run it again when they are done, or write to your own branch",
        )
    if status >= 500:
        return "server_error", f"the Hub answered {status}", "the error is on the Hub; run it again later"
    if status:
        return "rejected", f"the Hub answered {status}", "check whether the Hub accepts such a file or name"
    if isinstance(error, httpx2.TimeoutException | TimeoutError):
        return "timeout", "the Hub did not answer in time", "run it again later"
    if isinstance(error, httpx2.ConnectError):
        dns = any(sign in _said(error) for sign in ("Name or service", "name resolution", "nodename"))
        return ("dns" if dns else "refused"), "the Hub cannot be reached", "check the network, and HF_ENDPOINT"
    if isinstance(error, errors.OfflineModeIsEnabled):
        return "refused", "HF_HUB_OFFLINE forbids it", "unset HF_HUB_OFFLINE"
    if isinstance(error, ValueError) and str(error).startswith("Invalid metadata in README.md"):
        return "rejected", " ".join(str(error).split()), "correct the YAML at the top of README.md"
    if isinstance(error, httpx2.TransportError):
        return "reset", "the connection broke again and again", "run it again later"
    return "", f"{type(error).__name__}", "see the cause"


def _said(error: BaseException) -> str:
    return f"{error} {error.__cause__ or ''}"


def _server_said(error: BaseException) -> str:
    headers = getattr(getattr(error, "response", None), "headers", {})
    return str(getattr(error, "server_message", None) or headers.get("X-Error-Message", ""))
