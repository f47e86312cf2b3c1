"""What people call from a notebook: ``from resources import notebook as nb``, then ``nb.ls``, ``nb.loads``, ``nb.gallery`` …

Belongs here: the public names, and none of their modules bears one of them. Everything else is in ``calls.py`` and beside it.
"""

from resources.notebook.calls import (
    IMAGES,
    concurrent_downloads,
    concurrent_loads,
    default_storage,
    download,
    gallery,
    label_gallery,
    loads,
    ls,
    peek,
    presigns,
    read_labels,
    saves,
)
from resources.notebook.frames import to_df
from resources.notebook.results import Loaded
from resources.storage import StorageError

__all__ = [
    "IMAGES",
    "Loaded",
    "StorageError",
    "concurrent_downloads",
    "concurrent_loads",
    "default_storage",
    "download",
    "gallery",
    "label_gallery",
    "loads",
    "ls",
    "peek",
    "presigns",
    "read_labels",
    "saves",
    "to_df",
]
