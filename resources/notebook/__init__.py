"""What people call from a notebook: ``from resources import notebook as nb``, then ``nb.ls``, ``nb.loads``, ``nb.gallery`` …

Belongs here: the public names, none of which is also the name of a module. Everything else is in ``calls.py`` and
beside it.
"""

from resources.notebook.calls import (
    IMAGES,
    concurrent_downloads,
    concurrent_loads,
    download,
    loads,
    ls,
    peek,
    presigns,
    saves,
)
from resources.notebook.environment import default_storage
from resources.notebook.frames import to_df
from resources.notebook.galleries import gallery, label_gallery, read_labels
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
