"""The storage that a notebook uses, and the addresses that it passes.

Belongs here: storage from the environment, which a cell may change at any time; URIs given as text or paths. Does not belong
here: what is done with them (``calls.py``, ``galleries.py``).
"""

import os
import threading
from pathlib import Path

from resources.storage.storage import Storage

Address = str | os.PathLike[str]
CONFIGURED_BY = ("AWS_", "AROT_", "HF_", "HUGGING_FACE_")
"""Prefixes of the environment variables that configure storage."""
_kept: dict[int, Storage] = {}
_keeping = threading.Lock()


def default_storage() -> Storage:
    """Storage as configured by the current environment; kept as long as the environment does not change."""
    from resources.defaults import default_resources

    now = hash(tuple(sorted((k, v) for k, v in os.environ.items() if k.startswith(CONFIGURED_BY))))
    with _keeping:
        if now not in _kept:
            _kept.clear()
            _kept[now] = default_resources().storage
        return _kept[now]


def address_text(uri: Address) -> str:
    """A URI as text; a ``Path`` turns ``s3://b`` into ``s3:/b``, which is undone."""
    text = os.fspath(uri)
    scheme, mark, rest = text.partition(":/")
    if isinstance(uri, Path) and mark and "/" not in scheme and not rest.startswith("/"):
        return f"{scheme}://{rest}"
    return text
