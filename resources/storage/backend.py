"""What a scheme must offer so that ``Storage`` can serve it.

Belongs here: the protocol. One file each implements it: ``local.py``, ``generic.py`` (any other fsspec scheme), and those of
the schemes that deserve their own.
"""

from collections.abc import Iterator
from typing import IO, Protocol

from resources.storage.objects import ObjectColumns, ObjectInfo


class Backend(Protocol):
    """One scheme. Every method raises ``StorageError``, made by ``explain``, when the object cannot be had."""

    def ls_columns(self, root: str) -> Iterator[ObjectColumns]:
        """Every object below a root, recursively, or the one object that the root is; some thousands at a time.

        A prefix is a folder: ``a/data`` does not list ``a/data2/x``. A root without any object is an error.
        """
        ...

    def stat(self, uri: str) -> ObjectInfo:
        """Size, modification time and etag of one object."""
        ...

    def exists(self, uri: str) -> bool:
        """Whether an object or folder is there."""
        ...

    def names(self, uri: str) -> list[str]:
        """Names directly below a folder; empty when there is none."""
        ...

    def read(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes ``start`` to ``end`` (not included; None: to the end) of an object."""
        ...

    def open(self, uri: str) -> IO[bytes]:
        """A seekable binary reader."""
        ...

    def write(self, uri: str, data: bytes, create_only: bool = False) -> None:
        """Put an object in one step: readers see the old bytes or the new ones. ``create_only`` fails if it is there."""
        ...

    def delete(self, uri: str) -> None:
        """Remove one object; it is no error if it is gone already."""
        ...
