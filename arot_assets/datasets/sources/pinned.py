"""Which state of a source a listing is of.

Belongs here: the commit that a dataset of the Hub is at, and the text that tells one state of a source from another. Does not
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
        root: what is listed: for the Hub with the commit.
        commit: of the Hub; empty elsewhere.
        signature: another text whenever the source may show another thing; None where only listing tells.
    """

    root: str
    commit: str
    signature: str | None


def pin(storage: Storage, declaration: DatasetDeclaration) -> PinnedSource:
    """The state that a source is in now, had cheaply.

    Raises:
        StorageError: the source cannot be reached.
    """
    rules = declaration.archives.model_dump_json() if declaration.archives is not None else ""
    if declaration.is_url_list:
        from arot_assets.datasets.sources.url_list import list_signature

        return PinnedSource(declaration.root, "", list_signature(reaching(storage, declaration), declaration))
    if declaration.on_hub:
        address = storage.using(HubBackend).client.pinned(parse(declaration.source), "list")
        return PinnedSource(address.uri, str(address.revision), _digest(f"{address.uri} {rules}"))
    if declaration.opens_archives:
        # what lies in archives cannot be compared without opening them: the archives themselves are
        seen = sorted(repr(tuple(info)) for info in storage.ls(declaration.root))
        return PinnedSource(declaration.root, "", _digest("\n".join([rules, *seen])))
    return PinnedSource(declaration.root, "", None)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
