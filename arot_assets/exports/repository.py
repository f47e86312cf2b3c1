"""The content of an export's repository: which files are ours, of which data, and whether they are complete.

Belongs here: reading the state recorded by the last publication (``arot.json``), and distinguishing our files from
those that users added. Does not belong here: requests (``resources.storage.hub``), the card's text (``card.py``).
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.errors import ExportError
from resources.storage.hub.address import HubAddress

if TYPE_CHECKING:
    from resources.storage.hub.client import HubClient

STATE = "arot.json"
CARD = "README.md"
STATE_FORMAT = 1
PATTERNS = {
    "parquet": r"data/{split}-\d{{5}}-of-\d{{5}}\.parquet",
    "folder": r"{split}/(?:metadata\.parquet|[0-9a-f]{{2}}/[0-9a-f]{{32}}\.[a-z0-9]+)",
}
"""Names of the files of each layout: no other file is ever deleted."""


@dataclass(frozen=True)
class PublishedState:
    """What was published last.

    Attributes:
        data: digest of the rows.
        layout: ``parquet`` or ``folder``.
        split: the split's name.
        files: path -> SHA-256 of the files that contain values.
        left_out: samples whose originals could not be read.
        left_out_bytes: bytes of these originals.
    """

    data: str
    layout: str
    split: str
    files: Mapping[str, str]
    left_out: list[str] = field(default_factory=list)
    left_out_bytes: int = 0

    def to_json(self) -> bytes:
        """The content of the file; the same state gives the same bytes."""
        return (json.dumps({"format": STATE_FORMAT, **asdict(self)}, indent=1, sort_keys=True) + "\n").encode()

    @classmethod
    def from_json(cls, data: bytes) -> "PublishedState | None":
        """The inverse of ``to_json``; None if it is not such a file, or of another format."""
        try:
            values = json.loads(data)
            return cls(**values) if values.pop("format") == STATE_FORMAT else None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


@dataclass(frozen=True)
class RepositorySnapshot:
    """A repository at one commit.

    Attributes:
        head: the commit.
        files: path -> SHA-256 of files in LFS, None for other files.
        state: what was published last; None before the first time.
        card: the text of ``README.md``, empty if there is none.
    """

    head: str
    files: Mapping[str, str | None]
    state: PublishedState | None
    card: str

    def ours(self, layout: str, split: str) -> set[str]:
        """The files whose names are those of a layout."""
        pattern = re.compile(PATTERNS[layout].format(split=re.escape(split)))
        return {path for path in self.files if pattern.fullmatch(path)}

    def published(self) -> set[str]:
        """The files of the last publication, without those that users added."""
        return self.ours(self.state.layout, self.state.split) if self.state is not None else set()

    def is_whole(self) -> bool:
        """Whether the files that contain values are present and unchanged."""
        return self.state is not None and all(
            path in self.files and self.files[path] in (sha256, None) for path, sha256 in self.state.files.items()
        )


def look(client: "HubClient", address: HubAddress) -> RepositorySnapshot:
    """The content of a repository.

    Args:
        client: the client for the Hub.
        address: the repository at a branch or commit.

    Raises:
        StorageError: it does not exist, or cannot be seen.
    """
    from huggingface_hub.hf_api import RepoFile

    pinned = client.pinned(address)
    files = {
        one.path: one.lfs.sha256 if one.lfs is not None else None
        for one in client.tree(pinned)
        if isinstance(one, RepoFile)
    }

    def content(path: str) -> bytes:
        return client.get(pinned.child(path)) if path in files else b""

    state = PublishedState.from_json(content(STATE)) if STATE in files else None
    return RepositorySnapshot(str(pinned.revision), files, state, content(CARD).decode("utf-8", errors="replace"))


def check_foreign(remote: RepositorySnapshot, declaration: HubDatasetDeclaration) -> None:
    """Before the first publication: check that nothing is where our files will go.

    Raises:
        ExportError: there is somebody else's data.
    """
    there = sorted(remote.ours(declaration.layout, declaration.split))
    if remote.state is None and there:
        raise ExportError(
            f"exports/{declaration.name}: '{declaration.repo}' contains {len(there):,} files that were not published from here "
            f"({there[0]} …); delete them on the Hub, or name another repo, revision or split"
        )
