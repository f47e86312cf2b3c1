"""Files and objects on any scheme, behind one injected resource."""

from resources.storage.storage import ObjectInfo, Storage, StorageError

__all__ = ["ObjectInfo", "Storage", "StorageError"]
