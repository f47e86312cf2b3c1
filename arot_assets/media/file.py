"""A file as a medium takes it: its bytes or its path, the limits for it, and why it cannot be used.

Belongs here: what is the same for files of every medium. Does not belong here: fetching them (``datasets.reach``), what is in
them (``wants.py``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Content = bytes | Path
"""A whole file: its bytes, or its local path."""
KILLED = "killed"
"""``StorageError.kind`` of a decoder that was killed from outside, by the kernel for its memory, say: the file may be sound."""
Failure = Literal["corrupt", "unsupported"]

MAX_MEGAPIXELS = 250.0
"""Default limit of width x height, in millions of pixels. Above every camera sold (200 MP phones, 150 MP medium format);
at the limit the decoded RGB takes 750 MB. Larger images are refused from their header alone."""
MAX_HOURS = 12.0
"""Default limit of a film's length."""


class DecodeError(Exception):
    """A file that its medium cannot use.

    Attributes:
        status: ``corrupt`` (the file is damaged) or ``unsupported`` (it may be fine, but cannot be decoded here).
        reason: the cause, in one line.
    """

    def __init__(self, status: Failure, reason: str) -> None:
        super().__init__(f"{status}: {reason}")
        self.status: Failure = status
        self.reason = reason

    def __reduce__(self) -> "tuple[type[DecodeError], tuple[Failure, str]]":
        """Rebuild from both arguments, so that the error crosses process borders."""
        return type(self), (self.status, self.reason)


@dataclass(frozen=True)
class Limits:
    """The limits for a file; one that exceeds them is refused based on its header.

    Attributes:
        megapixels: width x height of one image, in millions of pixels.
        hours: length of a file that takes time.
        salvage: use what is there of a file that ends too early.
    """

    megapixels: float = MAX_MEGAPIXELS
    hours: float = MAX_HOURS
    salvage: bool = False

    def __str__(self) -> str:
        """The text that is part of the version of samples."""
        hours = "" if self.hours == MAX_HOURS else f"/{self.hours:g} h"
        return f"{self.megapixels:g}{hours}{'/salvage' if self.salvage else ''}"


class File:
    """One file, as bytes or as a local path, whichever its medium requires; it is not fetched before it is needed.

    Args:
        uri: its address; the extension may say what it claims to be.
        fetch: returns the whole content, verified to be what the sample's row describes; called at most once. Its
            exceptions are passed on by ``fetch``, ``read`` and ``path``.
        facts: the medium's columns of its sample, as determined by a probe; empty before.
    """

    def __init__(self, uri: str, fetch: Callable[[], Content], facts: Mapping[str, Any] | None = None) -> None:
        self.uri = uri
        self.facts = facts or {}
        self._fetch = fetch
        self._content: Content | None = None

    @classmethod
    def of(cls, uri: str, content: Content) -> "File":
        """A file whose content has been fetched already."""
        return cls(uri, lambda: content)

    def fetch(self) -> Content:
        """Fetch the content, unless it has been fetched."""
        if self._content is None:
            self._content = self._fetch()
        return self._content

    def read(self) -> bytes:
        """The bytes of the file."""
        content = self.fetch()
        return content if isinstance(content, bytes) else content.read_bytes()

    def path(self) -> Path:
        """The local path of the file; do not write to it.

        Raises:
            TypeError: it is in memory, because its medium does not set ``by_path``.
        """
        content = self.fetch()
        if isinstance(content, bytes):
            raise TypeError(
                f"'{self.uri}' was fetched into memory; a medium that opens paths must set `by_path = True`"
            )
        return content
