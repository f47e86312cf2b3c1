"""Untrusted names, and where they may be written.

Belongs here: turning a name from a listing, an archive or a hub into a URI below a target, and refusing names that
would leave it.
"""

import os
import re

from resources.storage.objects import StorageError, absolute, is_local, local_path, shown

CONTROL = re.compile(r"[\x00-\x1f\x7f]")
LONGEST_NAME = 255
"""Bytes of one part of a path: the limit of all common file systems."""


def root_prefix(root: str) -> str:
    """The common prefix of the URIs of all objects below a root."""
    return absolute(root).rstrip("/") + "/"


def target_of(root: str, name: str) -> str:
    """The URI of a name below a target.

    Args:
        root: a folder on any scheme.
        name: parts separated by ``/``, from an untrusted source.

    Raises:
        StorageError: the name leaves the target (``..``, absolute, through a symbolic link), or is not a possible file
            name.
    """
    why = _refused(name, is_local(root))
    quoted = repr(name) if CONTROL.search(name) else f"'{name}'"
    if why:
        raise StorageError(
            f"the name {quoted} is refused below '{root}': {why}; rename it at its source", kind="refused_name"
        )
    place = root_prefix(root) + name
    if is_local(root):
        top = os.path.realpath(local_path(root))
        parent = os.path.realpath(os.path.dirname(place))
        if parent != top and not parent.startswith(top.rstrip("/") + "/"):
            raise StorageError(
                f"the name {quoted} is refused below '{root}': a symbolic link leads out of the folder; remove the link",
                kind="refused_name",
            )
    return place


def _refused(name: str, local: bool) -> str:
    parts = name.split("/")
    if not name or name.endswith("/"):
        return "it is empty"
    if ".." in parts:
        return "'..' would leave the folder"
    if not local:
        return "" if shown(name) == name else "it is not UTF-8"
    if "" in parts or "." in parts:
        return "with an empty part or '.' it would name a different file"
    if CONTROL.search(name):
        return "it has control characters"
    if any(len(os.fsencode(part)) > LONGEST_NAME for part in parts):
        return f"a part of it is longer than {LONGEST_NAME} bytes"
    return ""
