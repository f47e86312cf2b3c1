"""The text file in which Prometheus finds how far the shards of a step are: node_exporter reads it.

Belongs here: names, labels, the file. Does not belong here: the numbers (``pace.py``).

``$AROT_METRICS_FOLDER`` is the folder of node_exporter's ``--collector.textfile.directory``. A step of a dataset has a file
there; a second run of the same step at the same time has one of its own, with another value of the label ``slot``, since equal
series in two files would make node_exporter reject them. The files stay when the run has ended, with ``arot_running`` 0; the next
run of the step takes their place. So there are as many series as steps that were ever under way at once, however many runs and
shards there are.
"""

import fcntl
import logging
import os
import re
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from arot_assets.pace import GPU_LOAD, GPU_MEMORY, Pace
from resources.beside import replace_file

FOLDER_VARIABLE = "AROT_METRICS_FOLDER"
HELP = {
    "arot_running": "1 while a run is in the step, 0 once it has left it; stays 1 if the run was killed",
    "arot_shards": "shards of the step in this run",
    "arot_shards_done": "shards that this run has finished",
    "arot_items_done": "images or rows that this run has worked on",
    "arot_items_per_second": "images or rows a second, by the last shards with work",
    "arot_seconds_left": "until the other shards are done, if they have as much to do as the last ones",
    GPU_LOAD: "share of time in which the GPU computed, during the last shard",
    GPU_MEMORY: "most memory that PyTorch has taken on the GPU",
    "arot_cost_per_thousand": "of 1,000 images or rows, in the currency of AROT_COST_PER_HOUR",
    "arot_last_shard_time_seconds": "when the last shard was finished, or the step begun, since 1970",
}
"""Name of a series -> what it is; all are gauges, of one dataset, step and slot."""
log = logging.getLogger("arot")


class PrometheusFile:
    """The file of a step, for as long as a run is in it; use as a context manager.

    Without ``$AROT_METRICS_FOLDER`` nothing is written. What cannot be written is a warning, once: the work goes on.

    Args:
        dataset, step: what is worked on.
        pace: how far it is.
    """

    def __init__(self, dataset: str, step: str, pace: Pace) -> None:
        self._dataset, self._step = dataset, re.sub(r"[^a-z0-9_]", "_", step)
        self._pace = pace
        self._folder = os.environ.get(FOLDER_VARIABLE, "").strip()
        self._slot = 0
        self._lock: int | None = None
        self._last = time.time()

    def __enter__(self) -> Self:
        try:
            self._slot, self._lock = self._take() if self._folder else (0, None)
        except OSError as error:
            self._give_up(error)
        self._write(running=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._write(running=False)
        if self._lock is not None:
            os.close(self._lock)

    def finished(self) -> None:
        """A shard is finished."""
        self._last = time.time()
        self._write(running=True)

    def _take(self) -> tuple[int, int]:
        """The lowest number that no other run of this step has on this machine, and what holds it."""
        for slot in count():
            held = os.open(self._file(slot).with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o644)
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(held)
                if not isinstance(error, BlockingIOError):
                    raise
            else:
                return slot, held
        raise AssertionError("there is no end of numbers")

    def _file(self, slot: int) -> Path:
        return Path(self._folder) / f"arot-{self._dataset}-{self._step}-{slot}.prom"

    def _write(self, running: bool) -> None:
        if self._folder:
            try:
                # node_exporter is another user, and never reads half of it
                replace_file(self._file(self._slot), "".join(self._lines(running)), 0o644)
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        log.warning("%s cannot be written: %s; check $%s", self._folder, error.strerror or error, FOLDER_VARIABLE)
        self._folder = ""

    def _lines(self, running: bool) -> Iterator[str]:
        """Prometheus' text format."""
        pace = self._pace
        found = {
            "arot_running": int(running),
            "arot_shards": pace.shards,
            "arot_shards_done": pace.done,
            "arot_items_done": pace.items,
            "arot_items_per_second": pace.rate if running else 0,
            "arot_seconds_left": pace.seconds_left if running else 0,
            "arot_cost_per_thousand": pace.cost_per_thousand,
            "arot_last_shard_time_seconds": self._last,
            **(pace.gpu if running else {}),
        }
        labels = f'{{dataset="{self._dataset}",step="{self._step}",slot="{self._slot}"}}'
        for name, value in found.items():
            if value is not None:
                yield f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n{name}{labels} {value:.12g}\n"
