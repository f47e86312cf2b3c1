"""The state of a source that a listing describes.

Belongs here: the commit of a dataset on the Hub, and the signature that distinguishes states of a source. Does not
belong here: listing it (``hub.py``, ``url_list.py``, ``listing.py``).
"""

import hashlib
from typing import NamedTuple

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.reach import reaching
from resources.storage import Storage
from resources.storage.hub.address import parse
from resources.storage.hub.backend import HubBackend


class PinnedSource(NamedTuple):
    """A state of a source.

    Attributes:
        root: what is listed: for the Hub, with the commit.
        commit: on the Hub; empty elsewhere.
        signature: changes whenever the contents of the source may have changed; None if only listing can tell.
    """

    root: str
    commit: str
    signature: str | None


def pin(storage: Storage, declaration: DatasetDeclaration) -> PinnedSource:
    """The current state of a source, determined cheaply.

    Raises:
        StorageError: the source cannot be accessed.
    """
    rules = declaration.archives.model_dump_json() if declaration.archives is not None else ""
    if declaration.is_url_list:
        from arot_assets.datasets.sources.url_list import list_signature

        return PinnedSource(declaration.root, "", list_signature(reaching(storage, declaration), declaration))
    if declaration.on_hub:
        address = storage.using(HubBackend).client.pinned(parse(declaration.source), "list")
        return PinnedSource(address.uri, str(address.revision), _digest(f"{address.uri} {rules}"))
    if declaration.opens_archives:
        # members of archives cannot be compared without opening them: the archives themselves are compared
        seen = sorted(repr(tuple(info)) for info in storage.ls(declaration.root))
        return PinnedSource(declaration.root, "", _digest("\n".join([rules, *seen])))
    return PinnedSource(declaration.root, "", None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
