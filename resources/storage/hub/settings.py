"""How the Hugging Face Hub is reached: its address, and whose token is sent.

Belongs here: the settings. Does not belong here: any request (``hub_client.py``).

The token is found where ``huggingface_hub`` looks for it, ``HF_TOKEN`` or the login of this machine, each time that it is
needed. It is never kept in a field, so that no stored configuration can hold it.
"""

import os

from pydantic import BaseModel, ConfigDict

from resources.storage.objects import StorageError

ENDPOINT_VARIABLE = "HF_ENDPOINT"


class HubSettings(BaseModel):
    """Where the Hub is.

    Attributes:
        endpoint: another server than huggingface.co; empty for ``$HF_ENDPOINT``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str = ""

    def address(self) -> str:
        """The server's address, without a slash at its end.

        Raises:
            StorageError: what is said is no address.
        """
        from huggingface_hub import constants

        said = (self.endpoint or os.environ.get(ENDPOINT_VARIABLE) or constants.ENDPOINT).rstrip("/")
        if not said.startswith(("http://", "https://")):
            raise StorageError(f"{ENDPOINT_VARIABLE}={said!r}: must begin with https:// or http://", kind="invalid")
        return said

    def token(self) -> str | None:
        """The user's token, None without one."""
        from huggingface_hub import get_token

        return get_token()
