"""How the Hugging Face Hub is accessed: its address, and the token.

Belongs here: the settings. Does not belong here: any request (``client.py``).

The token is looked up where ``huggingface_hub`` finds it, in ``HF_TOKEN`` or the login of this machine, each time it is
needed. It is never stored in a field, so no stored configuration can contain it.
"""

import os

from pydantic import BaseModel, ConfigDict

from resources.storage.objects import StorageError

ENDPOINT_VARIABLE = "HF_ENDPOINT"


class HubSettings(BaseModel):
    """The Hub's address.

    Attributes:
        endpoint: a server other than huggingface.co; empty for ``$HF_ENDPOINT``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = ""

    def address(self) -> str:
        """The server's address, without a trailing slash.

        Raises:
            StorageError: the configured address is invalid.
        """
        from huggingface_hub import constants

        said = (self.endpoint or os.environ.get(ENDPOINT_VARIABLE) or constants.ENDPOINT).rstrip("/")
        if not said.startswith(("http://", "https://")):
            raise StorageError(f"{ENDPOINT_VARIABLE}={said!r}: must begin with https:// or http://", kind="invalid")
        return said

    def token(self) -> str | None:
        """The user's token, or None."""
        from huggingface_hub import get_token

        return get_token()
