"""What the rooms know about a layout, whichever it is.

Belongs here: samples as they are written and read back, and the interface. Does not belong here: any layout; preparing media
(``prepare.py``).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from arot_assets.exports.companions import ROLES, companion_folder
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.tree import Tree


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample whose media file has been written.

    Attributes:
        sample_id: 32 hex digits.
        part: the subset that it is of.
        path: of its media file, below the version's folder.
        caption: the text that is trained, one line.
        width: pixels.
        height: pixels.
        frames: 1 for a picture.
        values: further columns.
        companions: role, such as ``mask`` or ``control_2`` -> its path below the version's folder.
    """

    sample_id: str
    part: str
    path: str
    caption: str
    width: int
    height: int
    frames: int
    values: Mapping[str, Any]
    companions: Mapping[str, str] = field(default_factory=dict)

    @property
    def file(self) -> str:
        """The name of its media file."""
        return self.path.rpartition("/")[2]


Found = tuple[str, Callable[[], bytes] | None]
"""A file's path below the version's folder, and what returns its bytes; None if it is not there."""


@dataclass(frozen=True)
class LoadedSample:
    """A sample as a loader finds it.

    Attributes:
        path: of its media file, below the version's folder.
        caption: the bytes of its caption; None if it has none.
        read: returns the bytes of the media file; None if it is not there.
        size: returns the bytes of that file; None if it is not a file of its own.
        companions: role -> what the loader finds for it.
        sizes: role -> returns the bytes of that file, of those that are files of their own.
    """

    path: str
    caption: bytes | None
    read: Callable[[], bytes] | None
    companions: Mapping[str, Found] = field(default_factory=dict)
    size: Callable[[], int] | None = None
    sizes: Mapping[str, Callable[[], int]] = field(default_factory=dict)


class Layout(Protocol):
    """One way to arrange an export."""

    def write(
        self, folder: Path, root: str, samples: Mapping[str, Sequence[Sample]], declaration: ExportDeclaration
    ) -> None:
        """Write everything but the media and the trainers' configurations.

        Args:
            folder: holds the media files already, at their paths.
            root: what the folder's absolute path will be where the trainer runs.
            samples: media folder of each part -> its samples.
            declaration: what the user declared.
        """
        ...

    def entries(self, tree: Tree, folders: Sequence[str]) -> Iterator[LoadedSample]:
        """What a loader finds, read from the files alone.

        Args:
            tree: a written version.
            folders: media folders of its parts.
        """
        ...


def media_folder(medium: str, part: str, parts: int) -> str:
    """The folder of a part's media: ``images``, or ``images-<subset>`` if there are several parts."""
    return f"{medium}s" if parts == 1 else f"{medium}s-{part}"


def entry(
    tree: Tree, path: str, caption: str | bytes | None, companions: Mapping[str, str] | None = None
) -> LoadedSample:
    """An entry whose media file is a file of its own; a path that leaves the folder is a missing file."""
    data = caption.encode() if isinstance(caption, str) else caption
    beside = {role: (one, tree.file(one)) for role, one in (companions or {}).items()}
    found: dict[str, Found] = {role: (one, there.read if there else None) for role, (one, there) in beside.items()}
    sizes = {role: there.size for role, (_, there) in beside.items() if there}
    file = tree.file(path)
    read, size = (file.read, file.size) if file else (None, None)
    return LoadedSample(path, data, read, found, size, sizes)


class CompanionFolders:
    """The companions that lie in folders of their own, with the stem of their sample, as most loaders look for them.

    Args:
        tree: the files of the version.
        part: the media folder.
    """

    def __init__(self, tree: Tree, part: str) -> None:
        self._paths: dict[str, dict[str, str]] = {}
        for role in ROLES:
            beside = companion_folder(role, part)
            for name in tree.names(beside):
                self._paths.setdefault(name.rpartition(".")[0], {})[role] = f"{beside}/{name}"

    def of(self, name: str) -> Mapping[str, str]:
        """Role -> path, of a media file's name."""
        return self._paths.get(name.rpartition(".")[0], {})
