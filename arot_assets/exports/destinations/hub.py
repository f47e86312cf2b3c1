"""A repository on the Hugging Face Hub: a version is one commit, in which files of earlier versions that it lacks are deleted."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.tree import Tree
from resources.scratch import WorkingFolder
from resources.storage import Storage
from resources.storage.hub import commits
from resources.storage.hub.address import MAIN, parse
from resources.storage.hub.backend import HubBackend

if TYPE_CHECKING:
    from resources.storage.hub.commits import Content

OURS = (
    "configs/",
    "onetrainer/",
    *(f"{kind}{end}" for kind in ("images", "videos", "masks", "controls") for end in "/-"),
)
"""How the paths that an export writes begin, besides its index files; nothing else is ever deleted."""


class HubDestination:
    """Versions as commits of one repository.

    Args:
        storage: reaches the Hub.
        declaration: of the export.
        where: ``hf://datasets/owner/name``, with ``@branch`` if it is not the main one.
    """

    def __init__(self, storage: Storage, declaration: ExportDeclaration, where: str) -> None:
        self.client = storage.using(HubBackend).client
        self.address = parse(where)
        self.private = declaration.private
        self.where = where
        self.name = declaration.name
        self._staging: WorkingFolder | None = None

    def only_here(self) -> str:
        """See ``Destination``."""
        return "a commit on the Hub is made by one process"

    def place(self, version: str) -> str:
        """See ``Destination``."""
        return self.where

    def staging(self) -> Path:
        """See ``Destination``."""
        commits.require_token(self.client, self.address)
        self._staging = WorkingFolder("export")
        return self._staging.path

    def stage(self) -> None:
        """See ``Destination``: only this process can write."""
        return

    def built(self) -> Tree:
        """See ``Destination``."""
        assert self._staging is not None, "a version is being built"
        return Tree(self._staging.path)

    def earlier(self, version: str, path: str) -> Path | None:
        """See ``Destination``."""
        return None

    def publish(self, staging: Path, version: str, message: str) -> str:
        """See ``Destination``. Content is uploaded before the commit, and what the repository has is not uploaded again."""
        from huggingface_hub import CommitOperationAdd
        from huggingface_hub.hf_api import RepoFile

        client, address = self.client, self.address
        made = commits.ensure_repo(client, address, self.private)
        if not made and self.private and not client.is_private(address.at(MAIN)):
            raise ExportError(
                f"exports/{self.name}: '{address.repo}' is public; set `private: false` if that is intended, or make it "
                "private in its settings on the Hub"
            )
        commits.ensure_branch(client, address)
        files = {p.relative_to(staging).as_posix(): p for p in sorted(staging.rglob("*")) if p.is_file()}
        additions = [CommitOperationAdd(path, file) for path, file in files.items()]
        commits.preupload(client, address, additions)

        def changes(head: str) -> "tuple[Mapping[str, Content], Sequence[str]]":
            there = {f.path for f in client.tree(address.at(head)) if isinstance(f, RepoFile)}
            gone = sorted(p for p in there - set(files) if p.startswith(OURS))
            return {a.path_in_repo: a for a in additions}, gone

        commit, _ = commits.commit(client, address, message, changes)
        return commit

    def has(self, version: str) -> bool:
        """See ``Destination``: whether the newest commit is that version is not known without its receipt."""
        return self.client.has(self.address)

    def remove(self, version: str) -> bool:
        """See ``Destination``: the history of a repository keeps every file."""
        return False

    def close(self) -> None:
        """See ``Destination``."""
        if self._staging is not None:
            self._staging.remove()
            self._staging = None
