"""Which process something belongs to, and whether that process has ended.

Belongs here: what makes the number of a process unique: numbers are used again, and containers count for themselves. Does not
belong here: what belongs to processes: reservations (``tables/leases.py``), folders (``scratch.py``), files (``beside.py``).
"""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_NAMED = re.compile(r"(?<![0-9a-f])([0-9a-f]{8})_([0-9]+)_([0-9]+)_([0-9]+)")


@dataclass(frozen=True)
class Owner:
    """A process, as the name of what it makes tells; as text it is a part of a file's name.

    Attributes:
        boot: the first 8 hex digits of the id of the machine's boot; zeros where the system does not tell.
        space: the namespace in which ``pid`` is a process; 0 where the system does not tell.
        pid: its number.
        started: when it started, in ticks since the boot; 0 where the system does not tell.
    """

    boot: str
    space: int
    pid: int
    started: int

    def __str__(self) -> str:
        """What ``named_in`` finds."""
        return f"{self.boot}_{self.space}_{self.pid}_{self.started}"

    @classmethod
    def me(cls) -> "Owner":
        """This process; another one after a fork."""
        return _owner(os.getpid())

    @classmethod
    def named_in(cls, name: str) -> "Owner | None":
        """The owner that a name tells; None if it tells none."""
        found = _NAMED.search(name)
        return cls(found[1], *(int(number) for number in found.groups()[1:])) if found else None

    @property
    def is_gone(self) -> bool | None:
        """Whether it has ended; None if that cannot be told from here: another machine, an earlier boot, another container."""
        me = Owner.me()
        if not me.space or (self.boot, self.space) != (me.boot, me.space):
            return False if self == me else None
        return started(self.pid) != str(self.started)

    @property
    def is_of_this_boot(self) -> bool:
        """Whether it ran under this kernel, perhaps in another container, since it was started."""
        return self.boot == Owner.me().boot


@cache
def system() -> str:
    """What makes a process's number unique: the boot of the machine, and the namespace; empty where unknown."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return ""


def started(pid: int) -> str:
    """When a process started, in ticks since the boot; empty if there is none, or it has ended and is not collected."""
    try:
        fields: list[Any] = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else str(fields[19])


@cache
def _owner(pid: int) -> Owner:
    boot, _, space = system().partition("/")
    return Owner(boot[:8] or "0" * 8, int(space.strip("pid:[]") or 0), pid, int(started(pid) or 0))


os.register_at_fork(after_in_child=_owner.cache_clear)
