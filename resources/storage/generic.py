"""Any scheme that fsspec supports and that has no backend of its own.

Belongs here: plain fsspec calls. A scheme in serious use gets its own backend.
"""

from collections.abc import Iterator
from typing import IO, Any

from resources.storage.backend import Backend
from resources.storage.objects import ObjectColumns, ObjectInfo, StorageError, explain, there_already


class GenericBackend(Backend):
    """See ``Backend``.

    Args:
        scheme: its name in fsspec.

    Raises:
        StorageError: fsspec does not support the scheme, or the package for it is not installed.
    """

    def __init__(self, scheme: str) -> None:
        import fsspec

        self.scheme = scheme
        try:
            self._fs: Any = fsspec.filesystem(self.scheme)
        except (ValueError, ImportError) as error:
            raise StorageError(
                f"scheme '{scheme}://' is not available: {error}; check its spelling or install its fsspec package"
            ) from error

    def ls_columns(self, root: str) -> Iterator[ObjectColumns]:
        """See ``Backend``."""
        try:
            found = self._fs.find(root, detail=True)
        except OSError as error:
            raise explain(root, "list", error) from error
        if not found:
            raise explain(root, "list", FileNotFoundError("no such folder or object"))
        yield ObjectColumns.of(_info(one, self.scheme) for one in found.values())

    def stat(self, uri: str) -> ObjectInfo:
        """See ``Backend``."""
        try:
            return _info(self._fs.info(uri), self.scheme)
        except OSError as error:
            raise explain(uri, "look up", error) from error

    def exists(self, uri: str) -> bool:
        """See ``Backend``."""
        return bool(self._fs.exists(uri))

    def names(self, uri: str) -> list[str]:
        """See ``Backend``."""
        try:
            found = self._fs.ls(uri, detail=False)
        except FileNotFoundError:
            return []
        return [str(name).rstrip("/").rsplit("/", 1)[-1] for name in found]

    def read(self, uri: str, start: int = 0, end: int | None = None) -> bytes:
        """See ``Backend``."""
        try:
            data: bytes = self._fs.cat_file(uri, start=start or None, end=end)
        except OSError as error:
            raise explain(uri, "read", error) from error
        return data

    def open(self, uri: str) -> IO[bytes]:
        """See ``Backend``."""
        try:
            reader: IO[bytes] = self._fs.open(uri, "rb")
        except OSError as error:
            raise explain(uri, "read", error) from error
        return reader

    def write(self, uri: str, data: bytes, create_only: bool = False) -> None:
        """See ``Backend``."""
        if create_only and self.exists(uri):
            raise there_already(uri)
        try:
            self._fs.pipe_file(uri, data)
        except OSError as error:
            raise explain(uri, "write", error) from error

    def delete(self, uri: str) -> None:
        """See ``Backend``."""
        try:
            self._fs.rm_file(uri)
        except FileNotFoundError:
            return
        except OSError as error:
            raise explain(uri, "delete", error) from error


def _info(info: dict[str, Any], scheme: str) -> ObjectInfo:
    modified = info.get("LastModified") or info.get("last_modified") or info.get("mtime") or 0.0
    seconds = modified.timestamp() if hasattr(modified, "timestamp") else float(modified)
    etag = info.get("ETag") or info.get("etag")
    name = info["name"] if "://" in info["name"] else f"{scheme}://{info['name']}"
    return ObjectInfo(name, int(info.get("size") or 0), seconds, str(etag).strip('"') if etag else None)
