"""How fast the shards of a step get done, what that costs, and for Prometheus a file that says so.

Belongs here: rates, time left, money, the text file of node_exporter. Does not belong here: progress within a shard
(``progress.py``), what the UI shows of a shard (the rooms' ``assets.py``).

``$AROT_COST_PER_HOUR`` is what the machines of a run cost in an hour, in any currency. ``$AROT_METRICS_FOLDER`` is the folder of
node_exporter's ``--collector.textfile.directory``; each step has a file there, replaced whenever a shard is finished.
"""

import logging
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from resources.errors import ArotError

COST_VARIABLE, FOLDER_VARIABLE = "AROT_COST_PER_HOUR", "AROT_METRICS_FOLDER"
HELP = {
    "arot_shards": "shards of the step",
    "arot_shards_done": "shards that this run has finished",
    "arot_items_done": "images or rows that this run has worked on",
    "arot_items_per_second": "of this run so far",
    "arot_seconds_left": "if the other shards take as long",
    "arot_gpu_utilization_percent": "share of time in which the GPU computed, during the last shard",
    "arot_gpu_memory_bytes": "most memory that PyTorch has taken on the GPU",
    "arot_cost_per_thousand": "of 1,000 images or rows, in the currency of AROT_COST_PER_HOUR",
    "arot_last_shard_time_seconds": "when the last shard was finished, since 1970",
}
"""Name of a series -> what it is; all are gauges, of one dataset and step."""
costs: list[str] = []
"""A line for each step of this process whose cost is known, once its last shard is finished: for the command line."""
log = logging.getLogger("arot")


class PaceError(ArotError):
    """A variable has a value that cannot be used."""


def cost_per_hour() -> float:
    """``$AROT_COST_PER_HOUR``; 0 if it is not set.

    Raises:
        PaceError: it is not a number from 0 on.
    """
    text = os.environ.get(COST_VARIABLE, "").strip()
    try:
        value = float(text or 0)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise PaceError(f"{COST_VARIABLE}={text!r}: must be a number, what the machines cost in an hour; or unset it")
    return value


class Pace:
    """How fast the shards of a step get done.

    Args:
        shards: how many there are.
        dataset, step: what is worked on, for the file.

    Raises:
        PaceError: ``$AROT_COST_PER_HOUR`` is no number.
    """

    def __init__(self, shards: int, dataset: str, step: str) -> None:
        self._shards, self._done, self._items = shards, 0, 0
        self._dataset, self._step = dataset, step
        self._cost = cost_per_hour()
        self._started = time.monotonic()
        self._gpu: Mapping[str, float] = {}

    def finished(self, items: int, gpu: Mapping[str, float] | None = None) -> float:
        """Count a shard with so many items that were worked on; gives items a second so far, 0 if there were none.

        Args:
            items: how many.
            gpu: series of a GPU by name, as far as they are known (``HELP``).
        """
        self._done += 1
        self._items += items
        self._gpu = gpu or {}
        if folder := os.environ.get(FOLDER_VARIABLE, ""):
            try:
                _replace(Path(folder) / f"arot-{self._dataset}-{self._step}.prom", "".join(self._lines()))
            except OSError as error:  # the work goes on
                log.warning("%s cannot be written: %s; check $%s", folder, error.strerror or error, FOLDER_VARIABLE)
        if self._done == self._shards and (cost := self.cost_per_thousand) is not None:
            costs.append(
                f"{self._dataset} {self._step}: {self._items:,} worked on, {self.rate:,.1f}/s, {cost:.3g} per 1,000"
            )
        return self.rate

    @property
    def rate(self) -> float:
        """Items a second so far."""
        return self._items / self._seconds

    @property
    def seconds_left(self) -> float:
        """How long the other shards take, if they take as long as those that are done."""
        return self._seconds / max(self._done, 1) * max(self._shards - self._done, 0)

    @property
    def cost_per_thousand(self) -> float | None:
        """What 1,000 items cost so far; None if nobody said what an hour costs, or nothing was worked on."""
        return self._cost * self._seconds / 3.6 / self._items if self._cost and self._items else None

    @property
    def gpu_utilization(self) -> float | None:
        """Percentage of the time in which the GPU computed, during the last shard; None if it is not known."""
        return self._gpu.get("arot_gpu_utilization_percent")

    def __str__(self) -> str:
        """In words."""
        cost = self.cost_per_thousand
        money = "" if cost is None else f", {cost:.3g} per 1,000"
        busy = self.gpu_utilization
        gpu = "" if busy is None else f", GPU {busy:.0f} %"
        return f"{self._done:,} of {self._shards:,}, about {self.seconds_left / 60:,.0f} min left{gpu}{money}"

    @property
    def _seconds(self) -> float:
        return max(time.monotonic() - self._started, 1e-9)

    def _lines(self) -> Iterator[str]:
        """Prometheus' text format."""
        found = {
            "arot_shards": self._shards,
            "arot_shards_done": self._done,
            "arot_items_done": self._items,
            "arot_items_per_second": self.rate,
            "arot_seconds_left": self.seconds_left,
            "arot_cost_per_thousand": self.cost_per_thousand,
            "arot_last_shard_time_seconds": time.time(),
            **self._gpu,
        }
        labels = f'{{dataset="{self._dataset}",step="{re.sub(r"[^a-z0-9_]", "_", self._step)}"}}'
        for name, value in found.items():
            if value is not None:
                yield f"# HELP {name} {HELP[name]}\n# TYPE {name} gauge\n{name}{labels} {value:.12g}\n"


def _replace(file: Path, text: str) -> None:
    """Replace a file in one step: node_exporter never reads half of it.

    Raises:
        OSError: the folder cannot be written.
    """
    descriptor, name = tempfile.mkstemp(dir=file.parent)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
    os.chmod(name, 0o644)  # node_exporter is another user
    os.replace(name, file)
