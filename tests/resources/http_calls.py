"""How the tests of HTTP read: with little patience, and told of failures."""

import pytest

from resources.storage import Storage, StorageError
from resources.storage.http.settings import HttpSettings

PATIENCE = {"backoff_seconds": 0.01, "attempts": 3, "connect_seconds": 2.0, "read_seconds": 2.0, "total_seconds": 10.0}


def storage(**settings: object) -> Storage:
    """A storage that may reach loopback; ``settings`` override its patience."""
    return Storage(http=HttpSettings.model_validate({"allow_private": True, **PATIENCE, **settings}))


def failure_of(uri: str, **settings: object) -> StorageError:
    """The error of reading an address."""
    with pytest.raises(StorageError) as error:
        storage(**settings).read_bytes(uri)
    return error.value


def kind_of(uri: str, **settings: object) -> str:
    """The kind of that error."""
    return failure_of(uri, **settings).kind
