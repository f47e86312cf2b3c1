"""What every kind of archive offers, and how its members are called.

Belongs here: the protocol, names that occur twice. Does not belong here: any one kind (``tar.py``, ``zip.py``, ``parquet.py``).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

MEMBER_BYTES = 1024 * 1024 * 1024
"""A member that is larger when unpacked is not read: it would have to be held in memory."""


class Entry(NamedTuple):
    """One member.

    Attributes:
        name: unique in its archive.
        size: bytes; 0 where only reading it tells.
        problem: why it cannot be read, None if it can.
    """

    name: str
    size: int
    problem: str | None = None


class MemberError(Exception):
    """A member that is there and cannot be read; the message is the cause alone.

    Attributes:
        kind: as in ``StorageError``.
    """

    def __init__(self, problem: str, kind: str = "format") -> None:
        super().__init__(problem)
        self.kind = kind


class Reader(Protocol):
    """An archive that is open. Safe in threads.

    Attributes:
        problem: why the archive ends early, None if it is whole.
        notes: what a person should know of it.
    """

    problem: str | None
    notes: tuple[str, ...]

    def entries(self) -> Iterator[Entry]:
        """All members, in the order of the archive."""
        ...

    def size(self, name: str) -> int:
        """Bytes of a member; errors as for ``read``."""
        ...

    def read(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        """Bytes of a member.

        Raises:
            KeyError: there is none of this name.
            MemberError: it cannot be read.
        """
        ...


def numbered(names: Sequence[str]) -> list[str]:
    """The names, each made unique. Of equal ones the last keeps its name, since it is the one that unpacking would leave;
    those before it get a number before the first dot: ``a/b.left.jpg`` becomes ``a/b~1.left.jpg``, so that the members of one
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
    """A note if some names occur more than once."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if not twice:
        return ()
    return (
        f"{len(twice):,} names occur more than once, e.g. '{twice[0]}': each but the last is listed with a number, as NAME~1",
    )
