"""How S3 is accessed: endpoint, region, profile, credentials; the same for every client.

Belongs here: the settings, and the clients created from them (boto3, DuckDB). Does not belong here: any request
(``requests.py``).

Credentials are found where AWS tools look for them: the environment, ``~/.aws``, the machine's role. They are never
stored in a field of ours, so no stored configuration can contain them.
"""

import os
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from resources.storage.objects import StorageError

ANONYMOUS_VARIABLE = "AROT_S3_ANONYMOUS"
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")
DEFAULT_REGION = "us-east-1"
ATTEMPTS = 10
"""Attempts per request. If one request in five fails, one in ten million fails finally."""
CONNECTIONS = 64
"""Connections that a client keeps open."""
CONNECT_SECONDS = 10.0
READ_SECONDS = 60.0


class Credentials(NamedTuple):
    """What requests are signed with. The text form shows no secret."""

    access_key: str
    secret_key: str
    token: str | None

    def __repr__(self) -> str:
        return "Credentials(…)"


class S3Settings(BaseModel):
    """The server and the credentials.

    Attributes:
        endpoint: a server other than Amazon's; empty for ``$AWS_ENDPOINT_URL_S3``, ``$AWS_ENDPOINT_URL`` or the
            profile.
        region: empty for ``$AWS_REGION``, ``$AWS_DEFAULT_REGION`` or the profile.
        profile: from ``~/.aws``; empty for ``$AWS_PROFILE``.
        anonymous: do not sign requests, for public buckets; also set by ``AROT_S3_ANONYMOUS=1``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = ""
    region: str = ""
    profile: str = ""
    anonymous: bool = False

    @property
    def unsigned(self) -> bool:
        """Whether requests are unsigned."""
        said = os.environ.get(ANONYMOUS_VARIABLE, "").strip().lower()
        return self.anonymous or said in ("1", "true", "yes")

    @property
    def configured_region(self) -> str | None:
        """The region as set here or in the environment; None leaves it to the profile."""
        return self.region or next((os.environ[v] for v in REGION_VARIABLES if os.environ.get(v)), None)


class S3Session:
    """A boto3 session for the settings, and its clients. Thread-safe.

    Attributes:
        settings: the settings.

    Raises:
        StorageError: there is no such profile.
    """

    def __init__(self, settings: S3Settings) -> None:
        import boto3
        from botocore.exceptions import BotoCoreError

        self.settings = settings
        try:
            self._session = boto3.session.Session(
                profile_name=settings.profile or None, region_name=settings.configured_region
            )
        except BotoCoreError as error:
            raise StorageError(f"S3: {error}; check AWS_PROFILE and ~/.aws", kind="denied") from error

    def client(self) -> Any:
        """A boto3 client that makes one attempt per request: its callers retry."""
        import botocore
        from botocore.config import Config

        settings: dict[str, Any] = {
            "max_pool_connections": CONNECTIONS,
            "retries": {"total_max_attempts": 1, "mode": "standard"},
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            "signature_version": botocore.UNSIGNED if self.settings.unsigned else "s3v4",
            # servers other than Amazon's support neither the newer checksums nor one host per bucket
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        if self.own_endpoint():
            settings["s3"] = {"addressing_style": "path"}
        return self._session.client(
            "s3",
            region_name=self.region,
            endpoint_url=self.settings.endpoint or None,
            config=Config(**settings),
        )

    @property
    def region(self) -> str:
        """The region that requests are signed for."""
        return self._session.region_name or DEFAULT_REGION

    @property
    def ca_bundle(self) -> str | bool:
        """The certificates that TLS trusts: a file, or True for the default."""
        found: str | None = self._session._session.get_config_variable("ca_bundle")
        return found or True

    def own_endpoint(self) -> str | None:
        """The endpoint, if it is not Amazon's: from the settings, the environment or the profile."""
        if self.settings.endpoint:
            return self.settings.endpoint
        for variable in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
            if os.environ.get(variable):
                return os.environ[variable]
        found: str | None = self._session._session.get_scoped_config().get("endpoint_url")
        return found

    def access(self) -> Credentials | None:
        """Current credentials, renewed if they expire; None for anonymous access.

        Raises:
            StorageError: there are none, or they cannot be renewed.
        """
        from botocore.exceptions import BotoCoreError

        if self.settings.unsigned:
            return None
        try:
            found = self._session.get_credentials()
            frozen = None if found is None else found.get_frozen_credentials()
        except BotoCoreError as error:
            raise StorageError(
                f"S3: credentials are not available: {type(error).__name__}; log in again, or check AWS_PROFILE",
                kind="denied",
            ) from error
        if frozen is None:
            raise StorageError(
                "S3: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or "
                f"{ANONYMOUS_VARIABLE}=1 for a public bucket",
                kind="denied",
            )
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)
