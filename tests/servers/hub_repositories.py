"""What the Hub of the tests keeps: repositories with branches, tags and commits, contents in a folder.

Belongs here: the rules of a repository (which commit a revision names, what a commit changes, what is LFS).
Does not belong here: requests, tokens and answers (``tests.servers.hub``).
"""

import fnmatch
import hashlib
import re
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

REGULAR_BYTES = 10 * 1024 * 1024
"""Bigger files are LFS whatever their name, as on the Hub."""
LFS_NAMES = (
    "7z arrow avif bin bz2 ckpt gif gz jpg jpeg jxl mp4 npy npz onnx parquet png pt safetensors tar webm webp zip"
).split()
ATTRIBUTES = "".join(f"*.{ext} filter=lfs diff=lfs merge=lfs -text\n" for ext in LFS_NAMES).encode()
"""The ``.gitattributes`` that every repository starts with."""


class HubError(Exception):
    """An answer that is an error, with the Hub's own code and message in its headers."""

    def __init__(self, status: int, code: str | None, message: str, **headers: str) -> None:
        super().__init__(message)
        named = {"X-Error-Code": code} if code else {}
        self.status = status
        self.headers = {**named, "X-Error-Message": message, **{k.replace("_", "-"): v for k, v in headers.items()}}


@dataclass(frozen=True)
class File:
    """One file of a commit.

    Attributes:
        blob: git's object id (of the pointer when it is LFS).
        size: bytes of the content.
        sha256: of the content when it is LFS, else None.
        changed: id of the commit that wrote it last.
    """

    blob: str
    size: int
    sha256: str | None
    changed: str = ""

    @property
    def content_id(self) -> str:
        """The name of the content on disk, and the file's ETag."""
        return self.sha256 or self.blob


@dataclass(frozen=True)
class Commit:
    """One state of a repository, and how it came to be."""

    id: str
    parent: str | None
    title: str
    message: str
    author: str
    date: datetime
    files: Mapping[str, File]


@dataclass
class Repository:
    """A model, dataset or space.

    Attributes:
        kind: ``model``, ``dataset`` or ``space``.
        id: ``owner/name``.
        private: only its owner sees it.
        gated: everyone sees it, only its owner reads files.
    """

    kind: str
    id: str
    private: bool
    gated: bool = False
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def owner(self) -> str:
        """The user it belongs to."""
        return self.id.split("/")[0]

    def find(self, revision: str) -> Commit | None:
        """The commit that a branch, a tag, a full id or the beginning of one (7 or more digits) names."""
        name = revision.removeprefix("refs/heads/").removeprefix("refs/tags/")
        found = self.branches.get(name) or self.tags.get(name)
        if found is None and len(name) >= 7:
            found = next((c for c in self.commits if c.startswith(name)), None)
        return self.commits[found] if found else None

    def history(self, commit: Commit) -> list[Commit]:
        """A commit and all before it, newest first."""
        found = [commit]
        while found[-1].parent:
            found.append(self.commits[found[-1].parent])
        return found

    def add(self, branch: str, files: Mapping[str, File], title: str, message: str, author: str) -> Commit:
        """Make a commit of these files the head of a branch; files with no ``changed`` get its id."""
        with self.lock:
            parent = self.branches.get(branch)
            date = datetime.now(UTC)
            listing = "".join(f"{path}\0{file.blob}\n" for path, file in sorted(files.items()))
            text = f"{self.kind} {self.id} {parent} {date.isoformat()} {author} {title}\n{message}\n{listing}"
            commit_id = hashlib.sha1(text.encode()).hexdigest()
            stamped = {
                p: f if f.changed else File(f.blob, f.size, f.sha256, commit_id) for p, f in sorted(files.items())
            }
            commit = Commit(commit_id, parent, title, message, author, date, stamped)
            self.commits[commit_id] = commit
            self.branches[branch] = commit_id
            return commit

    @staticmethod
    def is_lfs(path: str, size: int, attributes: bytes) -> bool:
        """Whether a new file goes to LFS: by the commit's ``.gitattributes``, or because it is big."""
        if size > REGULAR_BYTES:
            return True
        patterns = [line.split()[0] for line in attributes.decode().splitlines() if "filter=lfs" in line]
        return any(fnmatch.fnmatch(path.rsplit("/", 1)[-1], p) or fnmatch.fnmatch(path, p) for p in patterns)


class Contents:
    """File contents in a folder, named by their hash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, content_id: str) -> Path:
        """Where a content is, or would be."""
        return self._folder / content_id

    def has(self, content_id: str) -> bool:
        """Whether it is there."""
        return self.path(content_id).exists()

    def read(self, file: File) -> bytes:
        """The bytes of a file of a commit."""
        return self.path(file.content_id).read_bytes()

    def add_regular(self, data: bytes) -> File:
        """Keep a file as git does."""
        file = File(git_id(data), len(data), None)
        self.path(file.blob).write_bytes(data)
        return file

    def add_lfs(self, data: bytes) -> File:
        """Keep a file as LFS does."""
        digest = hashlib.sha256(data).hexdigest()
        self.path(digest).write_bytes(data)
        return lfs_file(digest, len(data))


def find(repository: Repository, revision: str) -> Commit:
    """The commit that a revision names.

    Raises:
        HubError: there is none.
    """
    found = repository.find(revision)
    if found is None:
        raise HubError(404, "RevisionNotFound", f"Invalid rev id: {revision}")
    return found


def git_id(data: bytes) -> str:
    """Git's id of a blob."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def lfs_pointer(sha256: str, size: int) -> bytes:
    """The text that git keeps in place of an LFS file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def lfs_file(sha256: str, size: int) -> File:
    """An LFS file whose content is kept already."""
    return File(git_id(lfs_pointer(sha256, size)), size, sha256)


def folders_of(paths: Iterable[str]) -> set[str]:
    """Every folder that holds one of these files, at any depth."""
    found = set()
    for path in paths:
        while "/" in path:
            path = path.rsplit("/", 1)[0]
            found.add(path)
    return found


def listing(commit: Commit, folder: str, recursive: bool) -> list[str]:
    """The paths of files and folders in a folder, sorted; a file lists itself; empty when there is nothing.

    Args:
        commit: the state that is listed.
        folder: path without a slash at its end, empty for the root.
        recursive: everything below too.
    """
    below = {p for p in commit.files if not folder or p == folder or p.startswith(f"{folder}/")}
    names = below | {f for f in folders_of(below) if not folder or f.startswith(f"{folder}/")}
    depth = folder.count("/") + 1 if folder else 0
    return sorted(n for n in names if recursive or n == folder or n.count("/") == depth)


def entry(repository: Repository, commit: Commit, path: str, details: bool) -> dict[str, object]:
    """One line of a listing, a file or a folder, as the Hub writes it; ``details`` adds its last commit."""
    file = commit.files.get(path)
    inside = [file] if file else [f for p, f in commit.files.items() if p.startswith(f"{path}/")]
    if file is None:
        tree = hashlib.sha1("".join(f.blob for f in inside).encode()).hexdigest()
        found: dict[str, object] = {"type": "directory", "oid": tree, "size": 0, "path": path}
    else:
        found = {"type": "file", "oid": file.blob, "size": file.size, "path": path}
        if file.sha256:
            pointer = len(lfs_pointer(file.sha256, file.size))
            found["lfs"] = {"oid": file.sha256, "size": file.size, "pointerSize": pointer}
    if details:
        last = max((repository.commits[f.changed] for f in inside), key=lambda c: c.date)
        found["lastCommit"] = {"id": last.id, "title": last.title, "date": iso(last.date)}
    return found


def iso(moment: datetime) -> str:
    """A moment as the Hub writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def front_matter(text: str) -> Any:
    """The YAML between the first two ``---`` lines of a card, None when there is none."""
    match = re.match(r"---\n(.*?)\n---(?:\n|$)", text, re.DOTALL)
    return yaml.safe_load(match[1]) if match else None
