"""How far the shards of a step are, told wherever people look.

Belongs here: the run's log, its tag in the UI, the metadata of shards, the command line, the file for Prometheus. Does not belong
here: the numbers (``pace.py``), progress within a shard (``progress.py``).

A run's shards show in the UI as materialized when their step ends, which may be hours after they were made. Meanwhile the tag
``arot/progress`` says how far it is, in the list of runs and on the pages of run and backfill.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import dagster as dg

from arot_assets.metadata import pace_metadata
from arot_assets.pace import Pace
from arot_assets.progress import SHARD_DONE, track_shards
from arot_assets.prometheus_file import PrometheusFile
from resources.compute import lookout

TAG = "arot/progress"
TAG_EVERY_SECONDS = 5.0
"""Writing a tag takes some milliseconds of the records, and the pages that show it look every 15 s."""
_totals: list[str] = []


class ShardProgress:
    """How far the shards of a step are; use as a context manager.

    Args:
        context: of the step.
        dataset, step: what is worked on, for people and for Prometheus.
        sizes: shard -> how many objects it has; only of those that are known.
        of: what is worked on: images, rows.
        in_turn: whether one shard is worked on after the other.

    Raises:
        PaceError: ``$AROT_COST_PER_HOUR`` is no number.
    """

    def __init__(
        self,
        context: dg.AssetExecutionContext,
        dataset: str,
        step: str,
        sizes: Mapping[str, int],
        of: str = "rows",
        in_turn: bool = True,
    ) -> None:
        self._context, self._dataset, self._step = context, dataset, step
        usual = max(sum(sizes.values()) // max(len(sizes), 1), 1)
        self._pace = Pace({shard: sizes.get(shard) or usual for shard in context.partition_keys}, of, in_turn)
        self._file = PrometheusFile(dataset, step, self._pace)
        self._shown = ExitStack()
        self._overall = track_shards(f"{dataset}/{step}" + ("" if in_turn else " on Ray"))
        self._tagged, self._sharing = 0.0, 1
        self._waits = _WaitsHandler(self)

    def __enter__(self) -> Self:
        self._shown.enter_context(self._file)
        lookout.log.addHandler(self._waits)
        self._shown.callback(lookout.log.removeHandler, self._waits)
        self._say = self._shown.enter_context(self._overall)
        begun = f"0 of {self._pace.shards:,} shards"
        self._say(0.0, begun)
        self._tag(f"{self._step}: {begun}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pace = self._pace
        self._shown.close()
        shards = f"{pace.done:,} of {pace.shards:,} shards"
        done = f"{shards}, {pace.total}" if pace.items else shards
        if kind is not None:
            self._tag(f"{self._step} stopped: {done}")
            return
        self._tag(f"{self._step}: {done}")
        if pace.items:
            _totals.append(f"{self._dataset}/{self._step}: {pace.total}")

    def finished(self, shard: str, items: int, gpu: Mapping[str, float] | None = None) -> dict[str, dg.MetadataValue]:
        """Tell of a finished shard; gives what the UI shows of the pace with it, if it had work.

        Args:
            shard: its name.
            items: how many were worked on.
            gpu: see ``Pace.finished``.
        """
        pace = self._pace
        look = time.monotonic() - self._tagged >= TAG_EVERY_SECONDS
        if look:
            under_way = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])
            self._sharing = max(self._context.instance.get_runs_count(under_way), 1)
        pace.finished(shard, items, gpu, self._sharing)
        self._context.log.info(f"{SHARD_DONE}{self._dataset}/{self._step} {shard}: {pace}")
        self._file.finished()
        self._say(pace.share, str(pace))
        if look:
            # what people look for comes first, since the list of runs cuts off what is long
            words = (f"{self._step} {pace.share:.0%}", pace.time_left, pace.speed)
            self._tag(", ".join(word for word in words if word))
        return pace_metadata(pace) if items else {}

    def waits(self, words: str) -> None:
        """Tell that no shard is worked on, or that work goes on, in the tag; the log and the command line have the same words."""
        self._tag(f"{self._step} {self._pace.share:.0%}, {words}")

    def _tag(self, words: str) -> None:
        self._tagged = time.monotonic()
        self._context.instance.add_run_tags(self._context.run.run_id, {TAG: words})


class _WaitsHandler(logging.Handler):
    """Hands on what is said of a wait for machines of a cluster.

    Args:
        progress: of the step that waits.
    """

    def __init__(self, progress: ShardProgress) -> None:
        super().__init__()
        self._progress = progress

    def emit(self, record: logging.LogRecord) -> None:
        """See ``logging.Handler``."""
        self._progress.waits(record.getMessage().partition(";")[0])


def taken_totals() -> list[str]:
    """A line for each step that this process has ended since it was last asked, and that worked on something."""
    taken, _totals[:] = [*_totals], []
    return taken
