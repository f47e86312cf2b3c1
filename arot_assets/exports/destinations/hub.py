"""A repository on the Hugging Face Hub: a version is one commit, in which files of earlier versions that it lacks are deleted.

With nodes of a cluster a version is built in the store, and they send the contents of its files to the Hub, where nobody sees
them before the commit. That is made by this process alone, from what they say of each file.
"""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from arot_assets.exports.destinations.destination import Destination, Stage
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.tree import Tree
from arot_assets.progress import log, track
from resources.compute import Compute, Needs
from resources.parallel import grouped
from resources.scratch import WorkingFolder
from resources.storage import Storage
from resources.storage.hub import commits
from resources.storage.hub.address import MAIN, HubAddress, parse
from resources.storage.hub.backend import HubBackend

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

    from resources.storage.hub.commits import Content

OURS = (
    "configs/",
    "onetrainer/",
    *(f"{kind}{end}" for kind in ("images", "videos", "masks", "controls") for end in "/-"),
)
"""How the paths that an export writes begin, besides its index files; nothing else is ever deleted."""


FILES, BYTES = 200, 256_000_000
"""Most files of a unit that sends them, and bytes after which it is full."""


@dataclass(frozen=True)
class SentFiles:
    """What became of the files of a unit.

    Attributes:
        sent: what the commit will say of those whose content is on the Hub now; without that content.
        left: paths of those that are part of the commit itself, as small files are, or could not be sent.
        why: they could not; empty if nothing was wrong.
    """

    sent: "Sequence[CommitOperationAdd]"
    left: Sequence[str]
    why: str = ""


@dataclass(frozen=True)
class Sender:
    """Sends the contents of files to the Hub: the unit of work of an engine. It uses the token of the machine where it runs.

    Attributes:
        storage: reaches the Hub.
        address: the repository and its branch.
        stage: has the files.
    """

    storage: Storage
    address: HubAddress
    stage: Stage

    def __call__(self, paths: Sequence[str]) -> SentFiles:
        """Send some files.

        Raises:
            StorageError: one of them cannot be read, the token may not write, or the Hub is out of reach.
        """
        from huggingface_hub import CommitOperationAdd

        client = self.storage.using(HubBackend).client
        if client.settings.token() is None:
            return SentFiles((), paths, f"machine {socket.gethostname()} has no token of the Hub")
        with self.stage.scratch() as folder:
            source = self.stage.fetch(folder, paths)
            additions = [CommitOperationAdd(path, source / path) for path in paths]
            commits.preupload(client, self.address, additions)
        sent = [one for one in additions if one.path_or_fileobj == b""]
        there = {one.path_in_repo for one in sent}
        return SentFiles(sent, [path for path in paths if path not in there])


class HubDestination:
    """Versions as commits of one repository.

    Args:
        storage: reaches the Hub.
        declaration: of the export.
        where: ``hf://datasets/owner/name``, with ``@branch`` if it is not the main one.
        compute: sends files.
        inside: a place of the store, where nodes build versions; None if this process alone does.
    """

    def __init__(
        self, storage: Storage, declaration: ExportDeclaration, where: str, compute: Compute, inside: Destination | None
    ) -> None:
        self.storage, self.compute, self.inside = storage, compute, inside
        self.client = storage.using(HubBackend).client
        self.address = parse(where)
        self.private = declaration.private
        self.where = where
        self.name = declaration.name
        self._staging: WorkingFolder | None = None
        self._stage: Stage | None = None
        self._built: Tree | None = None

    def only_here(self) -> str:
        """See ``Destination``."""
        return self.inside.only_here() if self.inside is not None else ""

    def place(self, version: str) -> str:
        """See ``Destination``."""
        return self.where

    def staging(self) -> Path:
        """See ``Destination``."""
        commits.require_token(self.client, self.address)
        if self.inside is not None:
            return self.inside.staging()
        self._staging = WorkingFolder("export")
        return self._staging.path

    def stage(self) -> Stage | None:
        """See ``Destination``."""
        self._stage = self.inside.stage() if self.inside is not None else None
        return self._stage

    def built(self) -> Tree:
        """See ``Destination``."""
        if self.inside is not None:
            self._built = self.inside.built()
            return self._built
        assert self._staging is not None, "a version is being built"
        return Tree(self._staging.path)

    def earlier(self, version: str, path: str) -> Path | None:
        """See ``Destination``."""
        return None

    def publish(self, staging: Path, version: str, message: str) -> str:
        """See ``Destination``. Content is uploaded before the commit, and what the repository has is not uploaded again."""
        from huggingface_hub.hf_api import RepoFile

        client, address = self.client, self.address
        made = commits.ensure_repo(client, address, self.private)
        if not made and self.private and not client.is_private(address.at(MAIN)):
            raise ExportError(
                f"exports/{self.name}: '{address.repo}' is public; set `private: false` if that is intended, or make it "
                "private in its settings on the Hub"
            )
        commits.ensure_branch(client, address)
        additions = self._sent(staging)

        def changes(head: str) -> "tuple[Mapping[str, Content], Sequence[str]]":
            there = {f.path for f in client.tree(address.at(head)) if isinstance(f, RepoFile)}
            gone = sorted(p for p in there - additions.keys() if p.startswith(OURS))
            return additions, gone

        commit, _ = commits.commit(client, address, message, changes)
        return commit

    def _sent(self, staging: Path) -> "dict[str, CommitOperationAdd]":
        """Path -> what the commit will contain, of every file of the version; the content of large ones is on the Hub."""
        from huggingface_hub import CommitOperationAdd

        sizes = {p.relative_to(staging).as_posix(): p.stat().st_size for p in sorted(staging.rglob("*")) if p.is_file()}
        left, additions = list(sizes), dict[str, CommitOperationAdd]()
        elsewhere = self._built.elsewhere if self._built is not None else None
        if self._stage is not None:
            by_nodes = sizes if elsewhere is None else elsewhere.sizes
            left = [path for path in sizes if path not in by_nodes]
            for unit in self._sent_by_nodes(self._stage, by_nodes):
                additions |= {one.path_in_repo: one for one in unit.sent}
                left += unit.left

        def send(here: Sequence[CommitOperationAdd]) -> None:
            commits.preupload(self.client, self.address, here)
            additions.update({one.path_in_repo: one for one in here})

        if of_this_machine := [path for path in left if path in sizes]:
            send([CommitOperationAdd(path, staging / path) for path in of_this_machine])
        if elsewhere is not None:
            for some in grouped([path for path in left if path not in sizes], FILES):
                send([CommitOperationAdd(path, elsewhere.read(path)) for path in some])
        return additions

    def _sent_by_nodes(self, stage: Stage, sizes: Mapping[str, int]) -> Iterator[SentFiles]:
        """What nodes have sent; what they cannot is told once."""
        told = False
        units = self.compute.map(Sender(self.storage, self.address, stage), _portions(sizes), Needs())
        with track(f"exports/{self.name}: sending", len(sizes)) as advance, closing(units) as results:
            for paths, unit in results:
                if unit.why and not told:
                    told = True
                    log.warning(
                        "exports/%s: %s, so that this process sends its files; set HF_TOKEN there", self.name, unit.why
                    )
                advance(len(paths))
                yield unit

    def has(self, version: str) -> bool:
        """See ``Destination``: whether the newest commit is that version is not known without its receipt."""
        return self.client.has(self.address)

    def remove(self, version: str) -> bool:
        """See ``Destination``: the history of a repository keeps every file."""
        return False

    def close(self) -> None:
        """See ``Destination``."""
        if self.inside is not None:
            self.inside.close()
        if self._staging is not None:
            self._staging.remove()
            self._staging = None


def _portions(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """The files of each unit."""
    some: list[str] = []
    taken = 0
    for path, size in sorted(sizes.items()):
        some.append(path)
        taken += size
        if len(some) >= FILES or taken >= BYTES:
            yield some
            some, taken = [], 0
    if some:
        yield some
