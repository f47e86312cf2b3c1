"""Whether the configured servers respond and accept our credentials: part of `arot doctor`.

Belongs here: one small request each to S3 and to the Hugging Face Hub. Secrets are never part of the output.
"""

import json
import os
import urllib.error
import urllib.request
from collections.abc import Collection, Iterator

from arot_assets.cli.finding import Finding
from resources.storage import StorageError
from resources.storage.s3.settings import ANONYMOUS_VARIABLE, S3Session, S3Settings

S3_VARIABLES = (
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_PROFILE",
    ANONYMOUS_VARIABLE,
)
S3_REMEDIES = {
    "SignatureDoesNotMatch": "the secret is wrong: set AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "InvalidAccessKeyId": "the server does not know this key: set the AWS_ACCESS_KEY_ID, or the AWS_PROFILE, of this endpoint",
    "ExpiredToken": "log in again to get a new AWS_SESSION_TOKEN",
    "RequestTimeTooSkewed": "set this machine's clock correctly",
    "AccessDenied": "ask for permission to list it",
    "NoSuchBucket": "create the bucket, or correct its name",
}
HUB_TOKEN_VARIABLES = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
HUB_SECONDS = 10.0


def endpoints(settings: S3Settings, store: str, sources: Collection[str]) -> Iterator[Finding]:
    """S3 and the Hub, as far as they are configured.

    Args:
        settings: how S3 is accessed.
        store: where the tables are, or will be.
        sources: the sources of all datasets.
    """
    yield from s3_findings(settings, store, sources)
    yield hub_finding(any(uri.startswith("hf://") for uri in sources))


def s3_findings(settings: S3Settings, store: str, sources: Collection[str]) -> Iterator[Finding]:
    """Whether S3 responds, accepts the credentials, and allows the prefixes in use to be listed."""
    uris = sorted({uri for uri in (store, *sources) if uri.startswith("s3://")})
    configured = settings != S3Settings() or any(os.environ.get(name) for name in S3_VARIABLES)
    if not uris and not configured:
        yield Finding("note", "S3", "not used: no store or source is on s3://, and no AWS_* variable is set")
        return
    try:
        session = S3Session(settings)
        endpoint = session.own_endpoint() or f"Amazon's, region {session.region}"
        access = session.access()
    except StorageError as error:
        yield Finding("problem", "S3", "no credentials", str(error))
        return
    how = "anonymous" if access is None else "credentials accepted"
    if not uris and access is None:
        yield Finding("note", "S3", f"{endpoint}: anonymous access; not tested, because no bucket is declared")
    elif not uris:
        yield _s3_asked(session, f"{endpoint}, {how}", None)
    for uri in uris:
        yield _s3_asked(session, f"{uri} at {endpoint}, {how}", uri, needed=uri in sources)


def _s3_asked(session: S3Session, text: str, uri: str | None, needed: bool = False) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    client = session.client()
    try:
        if uri is None:
            client.list_buckets()
        else:
            bucket, _, prefix = uri.removeprefix("s3://").partition("/")
            found = client.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1).get("KeyCount", 0)
            if needed and not found:
                return Finding("problem", "S3", f"{text}: empty", "upload it, or change `source`")
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if uri is None and code == "AccessDenied":
            return Finding("ok", "S3", f"{text}, without permission to list buckets")
        where = text.rsplit(", ", 1)[0]
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", "")
        said = f"{where}: {code or 'refused'} ({status})"
        return Finding(
            "problem", "S3", said, S3_REMEDIES.get(code, "check that this endpoint is an S3 server, and is running")
        )
    except BotoCoreError as error:
        where = text.rsplit(", ", 1)[0]
        return Finding(
            "problem",
            "S3",
            f"{where}: not reachable ({type(error).__name__})",
            "start it, or set AWS_ENDPOINT_URL to the right address",
        )
    return Finding("ok", "S3", text)


def hub_finding(used: bool) -> Finding:
    """Whether the Hub responds and accepts the token; if it is unused and there is no token, it is not contacted.

    Args:
        used: whether a dataset comes from it.
    """
    from huggingface_hub import constants, get_token

    endpoint, token = constants.ENDPOINT, get_token()
    named = next((f"${name}" for name in HUB_TOKEN_VARIABLES if os.environ.get(name)), "of `hf auth login`")
    if constants.HF_HUB_OFFLINE:
        said = "$HF_HUB_OFFLINE is set: only its cache is used"
        return Finding("note", "Hugging Face", said, "unset it to reach the Hub")
    if token is None and not used and not os.environ.get("HF_ENDPOINT"):
        remedy = "run `hf auth login` or set HF_TOKEN, for private repositories and publishing"
        return Finding("note", "Hugging Face", "no token: public repositories only", remedy)
    headers = {"User-Agent": "arot"} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        request = urllib.request.Request(f"{endpoint}/api/whoami-v2", headers=headers)
        with urllib.request.urlopen(request, timeout=HUB_SECONDS) as answer:
            found = json.load(answer)
    except urllib.error.HTTPError as error:
        if token is None and error.code == 401:  # it is a Hub, and requires authentication
            return Finding("ok", "Hugging Face", f"{endpoint}, no token: public repositories only")
        if error.code in (401, 403):
            remedy = "run `hf auth login` again, or set another HF_TOKEN"
            return Finding("problem", "Hugging Face", f"{endpoint}: the token {named} is rejected", remedy)
        remedy = "check that HF_ENDPOINT is a Hub, and is running"
        return Finding("problem", "Hugging Face", f"{endpoint}: status {error.code}", remedy)
    except (OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or type(error).__name__
        said = f"{endpoint}: not reachable ({cause})"
        return Finding("problem", "Hugging Face", said, "check the network, or set HF_ENDPOINT to the right address")
    return Finding("ok", "Hugging Face", f"{endpoint}, token {named}: user {found.get('name', '?')}")
