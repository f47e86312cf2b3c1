"""Addresses of the Hugging Face Hub: ``hf://[datasets|models|spaces/]owner/repo[@revision][/path]``.

Belongs here: parsing addresses and building them. Does not belong here: requests (``client.py``).

Without a kind, the address is that of a dataset, whereas ``huggingface_hub`` assumes a model. A revision is a branch, a
tag or a commit; a slash in it is written ``%2F``, but ``refs/pr/N`` and ``refs/convert/NAME`` may be written as they
are.
"""

import re
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

from resources.storage.objects import StorageError

SCHEME = "hf"
KINDS = {"datasets": "dataset", "models": "model", "spaces": "space"}
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?")
COMMIT = re.compile(r"[0-9a-f]{40}")
SPECIAL = re.compile(r"(refs/(?:pr/\d+|convert/[^/]+))(?:/|$)")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAIN = "main"


@dataclass(frozen=True)
class HubAddress:
    """A repository, or a path in it.

    Attributes:
        kind: ``dataset``, ``model`` or ``space``.
        repo: ``owner/name``.
        revision: branch, tag or commit; None for the main branch.
        path: below the repository, without leading or trailing slashes; empty for the repository itself.
    """

    kind: str
    repo: str
    revision: str | None = None
    path: str = ""

    @property
    def commit(self) -> str | None:
        """The commit, if the revision is one."""
        return self.revision if self.revision and COMMIT.fullmatch(self.revision) else None

    @property
    def repo_uri(self) -> str:
        """The repository at its revision."""
        revision = f"@{quote(self.revision, safe='')}" if self.revision else ""
        return f"{SCHEME}://{self.kind}s/{self.repo}{revision}"

    @property
    def uri(self) -> str:
        """The address in canonical form."""
        return f"{self.repo_uri}/{self.path}" if self.path else self.repo_uri

    def at(self, revision: str) -> "HubAddress":
        """The same path at another revision."""
        return replace(self, revision=revision)

    def child(self, path: str) -> "HubAddress":
        """A path in the same repository at the same revision.

        Args:
            path: below the repository.
        """
        return replace(self, path=path)


def is_hub(uri: str) -> bool:
    """Whether a URI belongs to the Hub."""
    return uri.lower().startswith(f"{SCHEME}://")


def parse(uri: str) -> HubAddress:
    """Parse an address.

    Raises:
        StorageError: it names no repository.
    """
    rest = uri[len(SCHEME) + 3 :] if is_hub(uri) else uri
    first, _, after = rest.partition("/")
    kind = "dataset"
    if first in KINDS:
        kind, rest = KINDS[first], after
    owner, _, rest = rest.partition("/")
    name, revision, path = _divided(rest)
    if not (NAME.fullmatch(owner) and NAME.fullmatch(name)) or revision == "":
        raise StorageError(
            f"'{uri}' does not name a repository; write hf://[datasets|models|spaces/]owner/name[@revision][/path]",
            kind="invalid",
        )
    if CONTROL.search(path) or ".." in path.split("/") or (revision and CONTROL.search(revision)):
        raise StorageError(f"{uri!r} has '..' or control characters, which no file on the Hub can have", kind="invalid")
    return HubAddress(kind, f"{owner}/{name}", revision, path.strip("/"))


def _divided(rest: str) -> tuple[str, str | None, str]:
    """``name[@revision][/path]``; an empty revision is an error."""
    head, _, path = rest.partition("/")
    name, at, revision = head.partition("@")
    if not at:
        return name, None, path
    special = SPECIAL.match(rest[len(name) + 1 :])
    if special:
        return name, special[1], rest[len(name) + 1 + len(special[1]) :]
    return name, unquote(revision), path
