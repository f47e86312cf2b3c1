"""A wait for machines of a cluster, in words: what a unit asks for, what there is, and when the wait ends.

Belongs here: noticing it, telling it, the limit. Does not belong here: asking Ray (``ray_cluster.py``), who gets which unit.

A cluster may lose its last machine with a GPU, and an autoscaler may bring another one in some minutes. Ray itself keeps units
for ever and says nothing.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from resources.compute.engine import ComputeError
from resources.compute.share import CORES_VARIABLE, GPUS_VARIABLE, Machine, Share, fitting, sizes

WAIT_VARIABLE = "AROT_WAIT_MINUTES"
WAIT_MINUTES = 60.0
"""How long a run waits for a machine that fits, unless ``$AROT_WAIT_MINUTES`` says otherwise: autoscalers take some minutes, a
person who adds a machine by hand an hour."""
TELL_SECONDS = 30.0
"""A machine that is replaced sooner is not worth a word."""
AGAIN_SECONDS = 600.0
"""Between two lines that say the same."""
WAITING, GOES_ON = "waiting for a machine: ", "goes on: "
"""What the line of a wait begins with, and that of its end: by them the sensor of hanging runs knows why no shard is finished."""
log = logging.getLogger("arot.waiting")
"""The command line shows what it is told here."""


def wait_minutes() -> float:
    """``$AROT_WAIT_MINUTES``, or ``WAIT_MINUTES``.

    Raises:
        ComputeError: it is not a number from 0 on.
    """
    text = os.environ.get(WAIT_VARIABLE, "").strip()
    try:
        minutes = float(text or WAIT_MINUTES)
    except ValueError:
        minutes = math.nan
    if not minutes >= 0:
        raise ComputeError(
            f"${WAIT_VARIABLE}={text!r}: must be minutes, from 0 on, or inf; unset it for {WAIT_MINUTES:g}"
        )
    return minutes


@dataclass
class Lookout:
    """Looks after units that nobody works on.

    Attributes:
        share: what one unit asks for.
        machines: of the cluster, now.
        minutes: the longest wait for a machine that fits.
        clock: seconds, which only grow.
    """

    share: Share
    machines: Callable[[], Sequence[Machine]]
    minutes: float = field(default_factory=wait_minutes)
    clock: Callable[[], float] = time.monotonic
    _since: float | None = None
    _told: float | None = None
    _lacks: bool = False

    def look(self, idle: bool = False) -> None:
        """Look once; to be called every few seconds while no unit ends.

        Args:
            idle: whether it is known that no unit is worked on.

        Raises:
            ComputeError: no machine has fitted for too long.
        """
        machines = self.machines()
        fit = fitting(machines, self.share)
        if fit and not idle:
            self.goes_on()
            return
        now = self.clock()
        if self._since is None or self._lacks != (not fit):
            self._since, self._told, self._lacks = now, None, not fit
        if not fit and now - self._since >= self.minutes * 60:
            raise ComputeError(
                f"no machine of the Ray cluster has had {self.share} for one unit for {self.minutes:g} minutes: "
                f"{sizes(machines)}; add such a machine (`ray status` shows what there is) or lower ${CORES_VARIABLE} or "
                f"${GPUS_VARIABLE}, and run it again: finished shards are kept. ${WAIT_VARIABLE} sets how long a run waits"
            )
        since, pause = (self._since, TELL_SECONDS) if self._told is None else (self._told, AGAIN_SECONDS)
        if now - since >= pause:
            self._told = now
            log.warning("%sa unit takes %s; %s", WAITING, self.share, self._why(machines, fit, now - self._since))

    def _why(self, machines: Sequence[Machine], fit: int, seconds: float) -> str:
        """Why nobody works on it, in words."""
        if fit:
            return f"of {len(machines)} machines {fit} could have it, and none is free yet"
        left = self.minutes * 60 - seconds
        until = "the run waits for one" if math.isinf(left) else f"the run ends in {_time(left)} unless one comes"
        return (
            f"no machine of the Ray cluster has that now: {sizes(machines)}; {until} (`ray status`, ${WAIT_VARIABLE})"
        )

    def goes_on(self) -> None:
        """A unit has ended, or a machine works on one."""
        if self._told is not None:
            log.info("%sa machine with %s works", GOES_ON, self.share)
        self._since = self._told = None


def _time(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{max(seconds, 0):.0f} seconds"
