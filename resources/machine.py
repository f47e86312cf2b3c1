"""What this process may use of its machine: cores, memory, its share of a GPU.

Belongs here: the only place that asks the kernel and the control groups. Does not belong here: what is made of the
answer: threads (``parallel.py``), the memory of a pass (``arot_assets.metrics.memory``), weights (``resources.models``).

A container's limits are those of its control group and of every group above it, of version 1 or 2. The files are read below
a root, so that a test can describe any machine with a folder.
"""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

GROUPS = Path("sys/fs/cgroup")
SHARE_VARIABLE = "AROT_GPU_SHARE"
UNIFIED = "unified"
"""Where version 2 is mounted on a machine that has both versions."""


def _affinity() -> int:
    """Cores that the process may be scheduled on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _physical() -> int:
    """Bytes of memory that the machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def gpu_share() -> float:
    """What part of a GPU's memory this process may fill: ``$AROT_GPU_SHARE``, as workers of Ray with a part of one have it."""
    return float(os.environ.get(SHARE_VARIABLE) or 1)


@dataclass(frozen=True)
class Machine:
    """A machine as one process sees it.

    Attributes:
        affinity: cores that the process may be scheduled on.
        physical: bytes of memory that the machine has.
        root: where ``proc`` and ``sys`` are.
    """

    affinity: int = field(default_factory=_affinity)
    physical: int = field(default_factory=_physical)
    root: Path = Path("/")

    @property
    def cores(self) -> int:
        """Cores that may be kept busy: a quota of 1.5 takes two threads to use up."""
        quotas = [quota for folder in self._groups("cpu") if (quota := _quota(folder)) is not None]
        return max(1, min([self.affinity, *(math.ceil(quota) for quota in quotas)]))

    @property
    def memory(self) -> int:
        """Bytes of memory that may be used before the process is slowed down or killed."""
        names = ("memory.max", "memory.high", "memory.limit_in_bytes")
        limits = [size for folder in self._groups("memory") for name in names if (size := _number(folder / name))]
        return min([self.physical, *limits])

    def _groups(self, controller: str) -> Iterator[Path]:
        """The folders of the process's control groups that a controller of either version may limit.

        A container often sees only its own group, mounted where the top one usually is, beside the path that it has on
        the host: folders that are not there are passed over.
        """
        said = self.root / "proc/self/cgroup"
        if not said.exists():
            return
        for line in said.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                tops = [self.root / GROUPS, self.root / GROUPS / UNIFIED]
            elif controller in controllers.split(","):
                tops = [self.root / GROUPS / controller, self.root / GROUPS / controllers]
            else:
                continue
            group = Path(path.lstrip("/"))
            inside = [group, *group.parents] if ".." not in group.parts else [Path()]
            yield from (top / one for top in tops for one in inside if (top / one).is_dir())


def _number(file: Path) -> int | None:
    """The number in a file; None without one: no such file, or ``max``."""
    text = file.read_text().strip() if file.exists() else ""
    return int(text) if text.isdigit() else None


def _quota(folder: Path) -> float | None:
    """How many cores' time a group gets; None if it is not limited."""
    whole = folder / "cpu.max"
    if whole.exists():
        quota, _, period = whole.read_text().strip().partition(" ")
        return int(quota) / int(period) if quota.isdigit() else None
    share, period_us = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return share / period_us if share and period_us else None
