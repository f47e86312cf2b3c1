"""Copying several named objects to one target, between any two schemes.

Belongs here: the target of each object, and copying them all even if some fail. Does not belong here: one object, whole
folders (``Storage.copy``, ``Storage.sync``), terminal output.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from resources.parallel import ordered_map
from resources.storage.objects import CopyFailure, StorageError, is_local, join, local_path

if TYPE_CHECKING:
    from resources.storage.storage import Storage

THREADS = 16
"""Objects that are copied concurrently."""


class CopyTargetError(StorageError):
    """Sources that cannot be copied to the given target; the message says how they can be."""


def copy_targets(storage: "Storage", sources: Sequence[str], target: str) -> dict[str, str]:
    """Source -> its target, in the order of the sources.

    Args:
        storage: distinguishes folders from objects.
        sources: objects.
        target: a folder if it ends with ``/`` or is one, otherwise the target of the only source.

    Raises:
        CopyTargetError: a folder is needed, a source is a folder, or two sources would have the same target.
    """
    folder = target.endswith("/") or target in (".", "..") or storage.is_folder(target)
    if len(sources) > 1 and not folder:
        raise CopyTargetError(f"several objects need a folder, and '{target}' is not one: end it with /")
    sources_of: dict[str, str] = {}
    for source in sources:
        if storage.is_folder(source):
            raise CopyTargetError(f"'{source}' is a folder; copy it with -r")
        place = join(target, _name(source)) if folder else target
        if place in sources_of:
            raise CopyTargetError(
                f"'{sources_of[place]}' and '{source}' would both become '{place}'; copy one of them under another name"
            )
        sources_of[place] = source
    return {source: place for place, source in sources_of.items()}


def copy_all(
    storage: "Storage",
    places: Mapping[str, str],
    threads: int = THREADS,
    on_progress: Callable[[int], None] | None = None,
) -> list[CopyFailure]:
    """Copy objects; returns those that could not be copied, each with its reason. All others are in place.

    Args:
        storage: accesses both sides.
        places: source -> its target.
        threads: objects copied concurrently.
        on_progress: called with 1 for each finished object.
    """

    def copy(source: str) -> CopyFailure | None:
        try:
            storage.copy(source, places[source])
        except StorageError as error:
            return CopyFailure(source, error.reason)
        return None

    lost = []
    with closing(ordered_map(copy, places, threads, finish=True)) as copied:
        for failed in copied:
            lost += [failed] if failed is not None else []
            if on_progress is not None:
                on_progress(1)
    return lost


def _name(source: str) -> str:
    path = local_path(source) if is_local(source) else source.split("?")[0]
    return path.rsplit("/", 1)[-1]
