"""The one-decode pass: each file is fetched and decoded once, and every metric asked for sees the same pixels.

Belongs here: the way of one file through fetch, decode, measurements and models, with threads and
bounded memory. Does not belong here: which rows are missing (``table_builder.py``), what a metric measures (``catalogue/``).

The way: threads read, decode and run the image metrics and the models' preprocessing; the decoded pixels never leave
their thread. The caller's thread takes the results in order and hands batches to the models' threads, so that a model
computes while others read, decode and write: it sees a sample once, however many metrics want its outputs. On a CPU that
is one thread, to which those that decode give way; a GPU has several batches at once, so that it computes while rows are made of
the last one. A failure is a row.
The first file is prepared alone: after it kernels and libraries are loaded, and what memory is left is known.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from arot_assets.media.file import Content, DecodeError, File, Limits
from arot_assets.media.medium import Medium, View
from arot_assets.media.wants import Still
from arot_assets.metrics.fit import Misfit, fitted
from arot_assets.metrics.memory import MemoryBudget, memory_limit
from arot_assets.metrics.metric import Metric, Row
from resources.memory import settle_freed_memory
from resources.models.entry import ModelError
from resources.parallel import default_threads, leave, ordered_map
from resources.storage import StorageError
from resources.storage.objects import explain

if TYPE_CHECKING:
    import numpy as np

    from arot_assets.media.image.view import Image
    from resources.models import ImageModel

UNREADABLE = "unreadable: "
"""Prefix of the reason if the sample could not be read, which says nothing about its content."""
BATCHES_AHEAD = 1
"""Batches that wait for the models' threads, besides those that they are at."""


@dataclass(frozen=True)
class Item:
    """One sample to measure.

    Attributes:
        sample_id: what its bytes must hash to.
        uri: where they are.
        metrics: names of the metrics that this sample still needs.
        facts: the columns of its medium, as in ``samples``.
    """

    sample_id: str
    uri: str
    metrics: frozenset[str]
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class MeasurementFailure:
    """A measurement that failed, and why."""

    reason: str


@dataclass(frozen=True)
class ModelFailure:
    """A model that cannot be used at all, and why: no file is at fault, so this is no row."""

    reason: str


@dataclass(frozen=True)
class Measurement:
    """One result of the pass: a metric's row for a sample."""

    sample_id: str
    metric: str
    result: Row | MeasurementFailure | ModelFailure


@dataclass
class PreparedSample:
    """A sample after its thread: what is measured, and what models still need.

    Attributes:
        item: the sample.
        results: metric -> its row.
        inputs: model -> its tensor.
        decoded: whether there were pixels.
    """

    item: Item
    results: dict[str, Row | MeasurementFailure]
    inputs: "dict[str, np.ndarray]"
    decoded: bool


def one_pass(
    items: Sequence[Item],
    metrics: Mapping[str, Metric],
    read: Callable[[str], Content],
    models: "Mapping[str, ImageModel]",
    *,
    medium: Medium,
    limits: Limits,
    threads: int | None = None,
) -> Generator[Measurement, None, None]:
    """Measure samples. Whoever may leave it early closes it, which ends its threads.

    Args:
        items: in the order in which results are wanted.
        metrics: by name; at least those that the items ask for.
        read: ``uri -> content`` of the very sample; may raise, then all metrics of that sample fail with its message.
        models: loaded models by their catalogue key; at least those that the metrics name.
        medium: opens them.
        limits: of the decoder.
        threads: workers; default all cores of the process.

    Yields:
        Exactly one ``Measurement`` for each metric of each item. Image metrics come in the order of the items; so do those of
        each model, delayed by up to a batch.
    """
    settle_freed_memory(memory_limit(), threads or default_threads())

    def opened(item: Item) -> tuple[File, View]:
        file = File(item.uri, partial(read, item.uri), item.facts)
        return file, medium.open(file, frozenset(metrics[name].want for name in item.metrics), limits)

    left = iter(items)
    with closing(_Inference(metrics, models)) as inference:
        for item in left:
            alone = _prepare(item, *opened(item), metrics, models)
            yield from _measured(alone, inference)
            if alone.decoded:
                break
        budget = MemoryBudget()

        def prepare(item: Item) -> PreparedSample:
            file, view = opened(item)
            with budget.hold(view.cost):
                return _prepare(item, file, view, metrics, models)

        with closing(ordered_map(prepare, left, threads, giving_way=bool(models))) as results:
            for prepared in results:
                yield from _measured(prepared, inference)
        yield from inference.rest()


class _Inference:
    """The models' side of a pass: batches are collected here and computed in threads of their own; results are in order.

    Args:
        metrics: by name; what is made of the outputs.
        models: by their catalogue key.
    """

    def __init__(self, metrics: Mapping[str, Metric], models: "Mapping[str, ImageModel]") -> None:
        self._metrics, self._models = metrics, models
        self._collected: dict[str, list[tuple[Item, np.ndarray]]] = {m.model: [] for m in metrics.values() if m.model}
        self._broken: dict[str, ModelFailure] = {}
        threads = max((models[name].at_once for name in self._collected), default=1)
        self._ahead = threads + BATCHES_AHEAD
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="arot-models")
        self._under_way: deque[Future[list[Measurement]]] = deque()

    def take(self, item: Item, inputs: "Mapping[str, np.ndarray]") -> Iterator[Measurement]:
        """Add one sample's inputs; gives what earlier batches have come to, and waits where too many are under way."""
        for name, tensor in inputs.items():
            collected = self._collected[name]
            collected.append((item, tensor))
            if len(collected) >= self._models[name].batch_size:
                self._begin(name)
                yield from self._ended(self._ahead)

    def rest(self) -> Iterator[Measurement]:
        """Everything that is still to come."""
        for name, collected in self._collected.items():
            if collected:
                self._begin(name)
                yield from self._ended(self._ahead)
        yield from self._ended(0)

    def close(self) -> None:
        """Begin nothing more, and wait for the batches that are computed."""
        leave(self._pool, self._under_way)

    def _begin(self, name: str) -> None:
        batch, self._collected[name] = self._collected[name], []
        self._under_way.append(self._pool.submit(self._infer, name, batch))

    def _ended(self, ahead: int) -> Iterator[Measurement]:
        """Results of the batches that are done, and of those beyond ``ahead`` once they are."""
        while self._under_way and (len(self._under_way) > ahead or self._under_way[0].done()):
            done = self._under_way[0].result()  # it is under way until then, which an interrupt must know
            self._under_way.popleft()
            yield from done

    def _infer(self, name: str, batch: "list[tuple[Item, np.ndarray]]") -> list[Measurement]:
        """Rows of a batch; once the model has failed as such, nothing more is asked of it."""
        try:
            if name not in self._broken:
                return list(infer(self._models[name], self._metrics, batch))
        except ModelError as error:
            self._broken[name] = ModelFailure(str(error))
        return [
            Measurement(item.sample_id, metric, self._broken[name])
            for item, _ in batch
            for metric in sorted(item.metrics)
            if self._metrics[metric].model == name
        ]


def _measured(prepared: PreparedSample, inference: _Inference) -> Iterator[Measurement]:
    for name, result in prepared.results.items():
        yield Measurement(prepared.item.sample_id, name, result)
    yield from inference.take(prepared.item, prepared.inputs)


def _prepare(
    item: Item, file: File, view: View, metrics: Mapping[str, Metric], models: "Mapping[str, ImageModel]"
) -> PreparedSample:
    def all_failed(reason: str) -> PreparedSample:
        return PreparedSample(item, dict.fromkeys(sorted(item.metrics), MeasurementFailure(reason)), {}, decoded=False)

    try:
        file.fetch()
    except Exception as error:  # whatever a file system raises is this row's reason, not the end of the run
        if isinstance(error, OSError):
            error = explain(item.uri, "read", error)
        if isinstance(error, StorageError) and error.is_outage:
            raise error
        return all_failed(f"{UNREADABLE}{error.reason if isinstance(error, StorageError) else error}")
    try:
        with view as entered:
            return measure(item, _only(entered).image, metrics, models)
    except DecodeError as error:
        return all_failed(f"{error.status}: {error.reason}")


def _only(view: View) -> Still:
    """The still image of a sample: its tables have one row for it, so there must be one.

    Raises:
        DecodeError: there is none, or there are several.
    """
    stills = list(islice(view.stills(), 2))
    if len(stills) == 1:
        return stills[0]
    if stills:
        raise DecodeError("unsupported", "it has several still images, and a table of samples takes one")
    raise DecodeError("corrupt", "it shows no picture")


def measure(
    item: Item, image: "Image", metrics: Mapping[str, Metric], models: "Mapping[str, ImageModel]"
) -> PreparedSample:
    """Run the image metrics of an item on a still, and the preprocessing of its models.

    Args:
        item: the sample, or a still of one.
        image: its pixels.
        metrics: by name; at least those that the item asks for.
        models: loaded models by their catalogue key.
    """
    results: dict[str, Row | MeasurementFailure] = {}
    inputs: dict[str, Any] = {}
    # models first: they need no gray levels, which the image keeps from the first metric that does
    for model in sorted({name for m in item.metrics if (name := metrics[m].model)}):
        try:
            inputs[model] = models[model].prepare(image.rgb)
        except Exception as error:  # what a model cannot process fails in that model's metrics only
            failed = MeasurementFailure(_said(error))
            results.update((name, failed) for name in sorted(item.metrics) if metrics[name].model == model)
    for name in sorted(item.metrics):
        compute = metrics[name].compute
        if compute is not None:
            try:
                results[name] = fitted(metrics[name], compute(image))
            except Exception as error:  # a metric that fails on one sample fails one row
                results[name] = MeasurementFailure(_said(error))
    return PreparedSample(item, results, inputs, decoded=True)


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, Misfit) else f"{type(error).__name__}: {error}"


def infer(
    model: "ImageModel", metrics: Mapping[str, Metric], batch: "Sequence[tuple[Item, np.ndarray]]"
) -> Iterator[Measurement]:
    """Rows of one batch, for every metric of the model; if it fails, each sample on its own, so that a bad one fails alone."""
    wanted = {name: [k for k, (item, _) in enumerate(batch) if name in item.metrics] for name in _of(model, metrics)}
    try:
        outputs = model.predict([tensor for _, tensor in batch])
    except ModelError:  # the model itself cannot be used: that ends its tables, because no file is at fault
        raise
    except Exception as error:
        if len(batch) > 1:
            for one in batch:
                yield from infer(model, metrics, [one])
            return
        for name, found in wanted.items():
            for _ in found:
                yield Measurement(batch[0][0].sample_id, name, MeasurementFailure(_said(error)))
        return
    for name, found in wanted.items():
        for k, row in zip(found, _rows(metrics[name], outputs, found), strict=True):
            yield Measurement(batch[k][0].sample_id, name, row)


def _of(model: "ImageModel", metrics: Mapping[str, Metric]) -> list[str]:
    return sorted(name for name, metric in metrics.items() if metric.model == model.entry.name)


def _rows(metric: Metric, outputs: "Mapping[str, np.ndarray]", places: Sequence[int]) -> list[Row | MeasurementFailure]:
    """The rows that a metric makes of some samples of a batch; no further inference if it fails on one of them."""
    assert metric.from_outputs is not None
    if not places:
        return []
    try:
        rows = metric.from_outputs({name: _at(values, places) for name, values in outputs.items()})
        if len(rows) != len(places):
            raise ValueError(f"metric {metric.name!r} returned {len(rows)} rows for {len(places)} samples")
    except Exception as error:
        if len(places) > 1:
            return [row for place in places for row in _rows(metric, outputs, [place])]
        return [MeasurementFailure(_said(error))]
    return [_row(metric, row) for row in rows]


def _at(values: Any, places: Sequence[int]) -> Any:
    """Some of a batch's values: an array, or a list where they are no numbers."""
    return [values[place] for place in places] if isinstance(values, list) else values[list(places)]


def _row(metric: Metric, row: Row) -> Row | MeasurementFailure:
    try:
        return fitted(metric, row)
    except Misfit as error:
        return MeasurementFailure(_said(error))
