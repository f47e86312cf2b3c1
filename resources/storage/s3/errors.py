"""What S3's refusals mean.

Belongs here: error codes and connection failures -> the cause and the remedy. No message contains a secret: neither the
text of a server nor a URL with its query is included.
"""

from typing import Any

from resources.storage.objects import StorageError

CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
BY_CODE: dict[str, tuple[str, str, str]] = {
    "NoSuchBucket": ("not_found", "there is no such bucket", "check its name, and AWS_ENDPOINT_URL_S3"),
    "NoSuchKey": ("not_found", "there is no such object", "check the spelling; keys are case-sensitive"),
    "NoSuchUpload": ("not_found", "the server aborted the upload", "start it again"),
    "AccessDenied": (
        "denied",
        "access denied",
        "grant these credentials access; a public bucket needs AROT_S3_ANONYMOUS=1",
    ),
    "AllAccessDisabled": ("denied", "access to this bucket is disabled", "ask its owner"),
    "InvalidAccessKeyId": ("denied", "the server does not recognize this access key", CREDENTIALS),
    "SignatureDoesNotMatch": ("denied", "the secret key does not match the access key", CREDENTIALS),
    "InvalidToken": ("denied", "the session token is not valid", "log in again, or unset AWS_SESSION_TOKEN"),
    "ExpiredToken": ("denied", "the session token has expired", "log in again"),
    "RequestTimeTooSkewed": ("denied", "this machine's clock differs from the server's", "set the clock"),
    "AuthorizationHeaderMalformed": ("denied", "signed for another region", "set AWS_REGION to the bucket's region"),
    "PermanentRedirect": ("denied", "the bucket is in another region", "set AWS_REGION to the bucket's region"),
    "PreconditionFailed": ("changed", "the object changed in the meantime", "run it again"),
    "InvalidRange": ("", "the object is shorter than the requested range", "list it again"),
    "EntityTooLarge": ("too_large", "the object is larger than the server accepts", "split it"),
    "QuotaExceeded": ("", "the server has no space left for it", "free some space"),
    "InvalidBucketName": ("not_found", "not a valid bucket name", "check the spelling"),
    "SlowDown": ("throttled", "the server still limits the rate of requests after many attempts", "run it again later"),
}
BY_STATUS: dict[int, str] = {403: "AccessDenied", 404: "NoSuchKey", 412: "PreconditionFailed", 416: "InvalidRange"}
SAME_CODE = {"404": "NoSuchKey", "403": "AccessDenied", "412": "PreconditionFailed", "416": "InvalidRange"}
SAME_CODE |= {"503": "SlowDown", "ServiceUnavailable": "SlowDown", "RequestLimitExceeded": "SlowDown"}
NO_ADDRESS = ("NameResolution", "gaierror", "name resolution", "Name or service not known")
HOPELESS = (*NO_ADDRESS, "refused", "certificate")
"""Signs in an error that further attempts will hardly help."""
REPEATED = frozenset((429, 500, 502, 503, 504, 509))
"""Statuses after which the same request may succeed."""
REPEATED_CODES = frozenset(("SlowDown", "RequestTimeout", "InternalError", "OperationAborted", "BadDigest"))


def error_of_code(uri: str, action: str, code: str, status: int) -> StorageError:
    """The error for a response of the server."""
    code = SAME_CODE.get(code, code) or BY_STATUS.get(status, "")
    kind, cause, remedy = BY_CODE.get(code, ("", f"the server responded {code or status}", "see the server's log"))
    shown = f"{code}: {cause}" if code in BY_CODE else cause
    return StorageError(f"cannot {action} '{uri}': {shown}; {remedy}", kind=kind)


def error_of_connection(uri: str, action: str, error: BaseException, endpoint: str) -> StorageError:
    """The error for a request without a response.

    Args:
        uri: what was requested.
        action: what was attempted, e.g. ``read``.
        error: of botocore, urllib3 or the operating system.
        endpoint: ``scheme://host:port`` without any secret.
    """
    name, text = type(error).__name__, said_by(error)
    kind, cause, remedy = (
        StorageError.UNREACHABLE,
        f"{endpoint} is not reachable ({name})",
        "check AWS_ENDPOINT_URL_S3 and the network",
    )
    if any(sign in text for sign in NO_ADDRESS):
        kind, cause, remedy = (
            "dns",
            f"the host name of {endpoint} cannot be resolved",
            "check the endpoint and the bucket name",
        )
    elif "timed out" in text or "Timeout" in name:
        kind, cause, remedy = "timeout", f"{endpoint} did not respond in time", "run it again later"
    elif "refused" in text:
        cause, remedy = f"no server listens at {endpoint}", "check AWS_ENDPOINT_URL_S3, and that the server is running"
    elif "certificate" in text.lower():
        cause, remedy = (
            f"the certificate of {endpoint} is not trusted",
            "set AWS_CA_BUNDLE to its authority's file",
        )
    elif "IncompleteRead" in text or "Connection broken" in text:
        cause, remedy = f"{endpoint} broke the connection again and again", "run it again later"
    return StorageError(f"cannot {action} '{uri}': {cause}; {remedy}", kind=kind)


def said_by(error: BaseException) -> str:
    """The class and text of an error, and of the one that botocore wraps."""
    inner = getattr(error, "kwargs", {}).get("error")
    return f"{type(error).__name__} {error}" + (f" {type(inner).__name__} {inner}" if inner is not None else "")


def code_of(error: Any) -> tuple[str, int]:
    """Code and HTTP status of a botocore ``ClientError``."""
    response = error.response
    return str(response.get("Error", {}).get("Code", "")), int(
        response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    )
