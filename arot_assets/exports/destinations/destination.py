"""What the rooms know about a destination, whichever it is.

Belongs here: the interface. Does not belong here: choosing (``choice.py``), writing to any of them (one file each).

A version is built in a staging folder of this machine. ``publish`` makes all of it appear at once, or nothing.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from arot_assets.exports.tree import Tree


class Stage(Protocol):
    """Where the nodes of a cluster put the media files of a version that is being built; it can be pickled."""

    def scratch(self) -> AbstractContextManager[Path]:
        """A new, empty folder in which a unit makes its files; afterwards it is removed."""
        ...

    def take(self, folder: Path, paths: Sequence[str]) -> None:
        """Put files in their places, each in one step.

        Args:
            folder: has them.
            paths: below the version's folder, and below that folder.

        Raises:
            OSError, StorageError: one of them cannot be written.
        """
        ...

    def copy(self, folder: Path, pairs: Sequence[tuple[str, str]]) -> None:
        """Put files that were put in their places in others too, each in one step.

        Args:
            folder: of ``scratch``; it has the folders of the new places.
            pairs: from where to where, below the version's folder.

        Raises:
            OSError, StorageError: one of them cannot be copied.
        """
        ...

    def fetch(self, folder: Path, paths: Sequence[str]) -> Path:
        """Files that were put in their places, as files of this machine.

        Args:
            folder: of ``scratch``; what is fetched goes below it.
            paths: below the version's folder.

        Returns:
            The folder that the paths are below.

        Raises:
            StorageError: one of them cannot be read.
        """
        ...

    def remove(self, paths: Sequence[str]) -> None:
        """Remove files that are not part of the version after all.

        Raises:
            OSError, StorageError: one of them cannot be removed.
        """
        ...


class Destination(Protocol):
    """Where versions of one export go."""

    def only_here(self) -> str:
        """Why only this process can write there; empty where every node of a cluster can."""
        ...

    def place(self, version: str) -> str:
        """Where the media of a version are, or will be."""
        ...

    def staging(self) -> Path:
        """A new, empty folder to build a version in; only one export at a time has one.

        Raises:
            ExportError: another process exports to the same place, or nothing can be written there.
        """
        ...

    def stage(self) -> Stage | None:
        """Where nodes put files of the version that is built in ``staging``; None where only this process can write."""
        ...

    def built(self) -> Tree:
        """What the version that is built in ``staging`` has by now.

        Raises:
            StorageError: what nodes wrote cannot be listed.
        """
        ...

    def earlier(self, version: str, path: str) -> Path | None:
        """A local file of an earlier version that can be linked; None if there is none."""
        ...

    def publish(self, staging: Path, version: str, message: str) -> str:
        """Make a staged version complete at its place; gives a commit where there are commits.

        Raises:
            ExportError, StorageError: it cannot be written; earlier versions are as they were.
        """
        ...

    def has(self, version: str) -> bool:
        """Whether a version is at its place."""
        ...

    def remove(self, version: str) -> bool:
        """Remove a version from its place; False if that has to be done by hand."""
        ...

    def close(self) -> None:
        """Remove what is left of the staging folder, and let others export."""
        ...
