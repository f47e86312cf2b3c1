"""What every kind of archive provides, and how its members are named.

Belongs here: the protocol, duplicate names. Does not belong here: any particular kind (``tar.py``, ``zip.py``,
``parquet.py``).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

MEMBER_BYTES = 1024 * 1024 * 1024
"""A member larger than this is not read: it would have to be held in memory."""


class ArchiveMember(NamedTuple):
    """One member.

    Attributes:
        name: unique in its archive.
        size: bytes; 0 if only reading it would tell.
        problem: why it cannot be read, None if it can.
    """

    name: str
    size: int
    problem: str | None = None


class MemberError(Exception):
    """A member that exists but cannot be read; the message is the cause alone.

    Attributes:
        kind: see ``StorageError``.
    """

    def __init__(self, problem: str, kind: str = "format") -> None:
        super().__init__(problem)
        self.kind = kind


class Reader(Protocol):
    """An open archive. Thread-safe.

    Attributes:
        problem: why the archive ends prematurely, None if it is complete.
        notes: what the user should know about it.
    """

    problem: str | None
    notes: tuple[str, ...]

    def entries(self) -> Iterator[ArchiveMember]:
        """All members, in the order of the archive."""
        ...

    def size(self, name: str) -> int:
        """Size of a member in bytes; raises like ``read``."""
        ...

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of a member.

        Raises:
            KeyError: there is no member of this name.
            MemberError: it cannot be read.
        """
        ...


def numbered(names: Sequence[str]) -> list[str]:
    """The names, made unique. Of several equal names the last one is kept, since unpacking would leave that member; the
    others get a number before the first dot: ``a/b.left.jpg`` becomes ``a/b~1.left.jpg``, so that the members of one
    key stay together.
    """
    last = {name: n for n, name in enumerate(names)}
    if len(last) == len(names):
        return list(names)
    taken = set(last)
    times: Counter[str] = Counter()
    result = []
    for n, name in enumerate(names):
        unique = name
        if last[name] != n:
            folder, slash, base = name.rpartition("/")
            stem = base.lstrip(".").partition(".")[0]
            cut = len(base) - len(base.lstrip(".")) + len(stem)
            while unique in taken:
                times[name] += 1
                unique = f"{folder}{slash}{base[:cut]}~{times[name]}{base[cut:]}"
            taken.add(unique)
        result.append(unique)
    return result


def repeated(names: Sequence[str]) -> tuple[str, ...]:
    """A note, if any names occur more than once."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if not twice:
        return ()
    return (
        f"{len(twice):,} names occur more than once, e.g. '{twice[0]}': all but the last are listed with a number, as NAME~1",
    )
