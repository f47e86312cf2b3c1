"""One decode of a file with many stills: the rows of the medium's tables, every metric and model on each
still, and models of frames and of sound.

Belongs here: the way of one such file. Does not belong here: which files are missing (``build_files.py``), media.

A file is a unit: its rows come together, or a reason instead. Files are worked on side by side, each decoded in a
process of its own; stills are measured as they come, and at most a batch of them waits for a model. Models take turns.
"""

import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from arot_assets.media.file import KILLED, Content, DecodeError, File, Limits
from arot_assets.media.medium import Medium, ViewOfParts
from arot_assets.media.wants import FRAMES, SOUND, ChildRows, Pictures, SoundStretch, Still
from arot_assets.metrics.children import FileTable
from arot_assets.metrics.listening import Listening
from arot_assets.metrics.memory import MemoryBudget
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.one_pass import (
    UNREADABLE,
    Item,
    Measurement,
    MeasurementFailure,
    ModelFailure,
    infer,
    measure,
)
from arot_assets.metrics.windows import Window, Windows
from resources.models.entry import ModelError
from resources.parallel import ordered_map
from resources.storage import StorageError

if TYPE_CHECKING:
    import numpy as np

    from resources.models import ImageModel

ROWS_AT_ONCE = 512
"""Rows kept as Python objects before they are converted to Arrow."""


@dataclass(frozen=True)
class FileResult:
    """What became of a file.

    Attributes:
        sample_id: of the file.
        tables: table -> all its rows of the file; not those whose model cannot be used.
        failed: why the file could not be measured; None if it was.
        broken: table -> why its model cannot be used.
    """

    sample_id: str
    tables: Mapping[str, pa.Table]
    failed: str | None
    broken: Mapping[str, str]


def file_pass(
    items: Sequence[Item],
    tables: Mapping[str, FileTable],
    read: Callable[[str], Content],
    models: "Mapping[str, ImageModel]",
    *,
    medium: Medium,
    limits: Limits,
    advance: Callable[[int], None],
    threads: int | None = None,
) -> Generator[FileResult, None, None]:
    """Measure files. Whoever may leave it early closes it, which ends its threads and its decoders.

    Args:
        items: files, in the order in which results are wanted; their ``metrics`` are names of tables.
        tables: by name; at least those that the items ask for.
        read: ``uri -> content`` of the very sample; may raise, then the file fails with its message.
        models: loaded models by their catalogue key.
        medium: opens them.
        limits: of the decoder.
        advance: told how many frames have been decoded, now and then.
        threads: files at a time; default all cores of the process.

    Yields:
        One result for each item, in order.
    """
    budget = MemoryBudget()
    turn = threading.Lock()
    stop = threading.Event()

    def work(item: Item) -> FileResult:
        file = File(item.uri, partial(read, item.uri), item.facts)
        wants = frozenset(tables[name].want for name in item.metrics)

        def once(again: bool) -> FileResult:
            view = cast(ViewOfParts, medium.open(file, wants, limits))
            with budget.hold(view.cost):
                one = _File(item, {name: tables[name] for name in sorted(item.metrics)}, models, turn)
                return one.measured(file, view, advance, stop, again)

        try:
            return once(again=True)
        except StorageError as error:
            if error.kind != KILLED:
                raise
        return once(again=False)

    with closing(ordered_map(work, items, threads, finish=True)) as results:
        try:
            yield from results
        finally:
            stop.set()


class StoppedError(Exception):
    """Whoever wanted the result is gone."""


@dataclass
class _File:
    """A file while it is measured."""

    item: Item
    tables: Mapping[str, FileTable]
    models: "Mapping[str, ImageModel]"
    turn: threading.Lock
    rows: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    parts: dict[str, list[pa.Table]] = field(default_factory=dict)
    waiting: "dict[str, list[tuple[Item, np.ndarray]]]" = field(default_factory=dict)
    places: dict[str, dict[str, int | None]] = field(default_factory=dict)
    windows: dict[str, Windows] = field(default_factory=dict)
    listening: dict[str, Listening] = field(default_factory=dict)
    unheard: dict[str, str] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def measured(
        self, file: File, view: ViewOfParts, advance: Callable[[int], None], stop: threading.Event, again: bool
    ) -> FileResult:
        """All rows of the file.

        Raises:
            StorageError: the server of all files does not answer; or, with ``again``, its decoder was killed.
        """
        try:
            file.fetch()
            with (
                view as entered,
                closing(cast("Generator[Any, None, None]", entered.parts())) as parts,
            ):
                seen = 0
                for part in parts:
                    if stop.is_set():
                        raise StoppedError
                    if isinstance(part, Still):
                        self._still(part)
                    elif isinstance(part, Pictures):
                        self._pictures(part)
                    elif isinstance(part, SoundStretch):
                        self._sound(part)
                    elif isinstance(part, ChildRows):
                        for row in part.rows if part.table in self.tables else ():
                            self._add(part.table, dict(row))
                    else:
                        advance(part.frames - seen)
                        seen = part.frames
            for model in list(self.waiting):
                self._infer(model)
            self._pictures(None)
            self._sound(None)
        except DecodeError as error:
            return self._failed(f"{error.status}: {error.reason}")
        except StorageError as error:
            if error.is_outage or (again and error.kind == KILLED):
                raise
            return self._failed(f"{UNREADABLE}{error.reason}")
        for name in self.tables:
            self._pack(name)
        done = {name: pa.concat_tables(parts) for name, parts in self.parts.items() if name not in self.broken}
        schemas = {name: table.schema() for name, table in self.tables.items() if name not in self.broken}
        return FileResult(
            self.item.sample_id,
            {name: done.get(name, schema.empty_table()) for name, schema in schemas.items()},
            None,
            self.broken,
        )

    def _failed(self, reason: str) -> FileResult:
        """One row with the reason in each table that must have a row for each file."""
        self.rows.clear()
        self.parts.clear()
        tables = {}
        for name, table in self.tables.items():
            self.rows[name] = []
            if table.metric is not None or table.grain == "sample":
                self._add(name, {}, reason)
            self._pack(name)
            tables[name] = pa.concat_tables(self.parts.get(name) or [table.schema().empty_table()])
        return FileResult(self.item.sample_id, tables, reason, {})

    def _still(self, still: Still) -> None:
        metrics = {
            name: table.metric
            for name, table in self.tables.items()
            if table.metric is not None and table.want.kind == "image"
        }
        wanted: dict[str, Metric] = {name: metric for name, metric in metrics.items() if name not in self.broken}
        ident = f"{self.item.sample_id}/{still.n}"  # a still is an item of its own here
        self.places[ident] = {"n": still.n, "pts": still.pts}
        item = replace(self.item, sample_id=ident, metrics=frozenset(wanted))
        prepared = measure(item, still.image, wanted, self.models)
        for name, result in prepared.results.items():
            self._take(Measurement(ident, name, result))
        for model, tensor in prepared.inputs.items():
            batch = self.waiting.setdefault(model, [])
            batch.append((prepared.item, tensor))
            if len(batch) >= self.models[model].batch_size:
                self._infer(model)

    def _infer(self, model: str) -> None:
        batch = self.waiting.pop(model, [])
        metrics = {name: t.metric for name, t in self.tables.items() if t.metric is not None}
        try:
            with self.turn:
                for cell in infer(self.models[model], metrics, batch) if batch else ():
                    self._take(cell)
        except ModelError as error:
            self.broken |= {name: str(error) for name, metric in metrics.items() if metric.model == model}

    def _pictures(self, part: Pictures | None) -> None:
        """Frames for the models of frames in time; None: there are no more."""
        for name, table in self.tables.items():
            metric = table.metric
            if table.want != FRAMES or metric is None or metric.model is None or name in self.broken:
                continue
            model = self.models[metric.model]
            windows = self.windows.setdefault(name, Windows.of(model.entry))
            try:
                for window in windows.finish() if part is None else windows.add(part):
                    self._judge(name, metric, model, window)
            except ModelError as error:
                self.broken[name] = str(error)

    def _judge(self, name: str, metric: Metric, model: "ImageModel", window: Window) -> None:
        """The rows of the frames of a window."""
        count, context = len(window.pts), int(model.entry.options["context"])
        values: list[dict[str, Any]] = [{} for _ in range(count)]
        reason = None
        if window.frames is not None:
            assert metric.from_outputs is not None, "it has a model"
            try:
                with self.turn:
                    said = model.predict([window.frames])
                judged = {of: array[0][context : context + count, None] for of, array in said.items()}
                values = [dict(row) for row in metric.from_outputs(judged)]
            except ModelError:
                raise
            except Exception as error:  # what one window does to a model is the reason of its rows
                reason = f"{type(error).__name__}: {error}"
        for k, (pts, row) in enumerate(zip(window.pts, values, strict=True)):
            self._add(name, {"n": window.first + k, "pts": pts, **row}, reason)

    def _sound(self, part: SoundStretch | None) -> None:
        """Sound for the models of it; None: there is no more. What it does to a model is the reason of the film's row there."""
        for name, table in self.tables.items():
            metric = table.metric
            if table.want != SOUND or metric is None or metric.model is None or name in self.broken:
                continue
            one = self.listening.setdefault(name, Listening(partial(self._ask, self.models[metric.model])))
            try:
                if part is None:
                    self._told(name, metric, one)
                elif part.fault:
                    self.unheard[name] = part.fault
                elif name not in self.unheard:
                    one.add(part)
            except ModelError as error:
                self.broken[name] = str(error)
            except Exception as error:
                self.unheard[name] = f"{type(error).__name__}: {error}"
                if part is None:
                    self._add(name, {}, self.unheard[name])

    def _told(self, name: str, metric: Metric, listening: Listening) -> None:
        """The row of a film whose sound is over."""
        reason = self.unheard.get(name)
        assert metric.from_outputs is not None, "it has a model"
        row = {} if reason else dict(metric.from_outputs(listening.finish(self.item.facts.get("seconds")))[0])
        self._add(name, row, reason)

    def _ask(self, model: "ImageModel", sound: "np.ndarray") -> Mapping[str, Any]:
        with self.turn:
            return model.predict([sound])

    def _take(self, cell: Measurement) -> None:
        place, result = self.places[cell.sample_id], cell.result
        if isinstance(result, MeasurementFailure | ModelFailure):
            self._add(cell.metric, dict(place), result.reason)
        else:
            self._add(cell.metric, {**place, **result})

    def _add(self, table: str, values: dict[str, Any], reason: str | None = None) -> None:
        rows = self.rows.setdefault(table, [])
        rows.append(
            values
            | {
                "sample_id": self.item.sample_id,
                "status": "ok" if reason is None else "failed",
                "reason": reason,
                "metric_version": self.tables[table].version,
            }
        )
        if len(rows) >= ROWS_AT_ONCE:
            self._pack(table)

    def _pack(self, table: str) -> None:
        rows = self.rows.pop(table, [])
        if rows:
            now = datetime.now(UTC)
            for row in rows:
                row["computed_at"] = now
            self.parts.setdefault(table, []).append(pa.Table.from_pylist(rows, schema=self.tables[table].schema()))
