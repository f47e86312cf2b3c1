"""Filling the table of a captioner: ask about the samples that have no current row, and keep each answer at once.

Belongs here: the work of one shard. Does not belong here: one question (``ask.py``), Dagster.

The rules of rows are those of metric tables: what is current stays, content that another shard has an answer for is copied, and
the table is replaced when it is complete. An answer is paid for, so it is kept before anything else happens: in a file of its
own below ``answers/``, by the thread that received it. Whatever ends the process, only questions under way are asked again.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.captions.ask import ask, jpeg
from arot_assets.captions.budget import Budget, BudgetSpentError
from arot_assets.captions.context import Context
from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.prompt import SAMPLE, Prompt
from arot_assets.captions.stills import sent_stills
from arot_assets.captions.table import CaptionTable, caption_table, caption_version
from arot_assets.datasets.places import Place, place_of
from arot_assets.datasets.presence import Shards, present_uris
from arot_assets.media.medium import STILL, DecodeError, File, Limits, Medium
from arot_assets.metrics.one_pass import UNREADABLE
from arot_assets.metrics.table_builder import MetricResult, TableBuilder, start_table, write_table
from arot_assets.progress import kept, track
from resources.parallel import leave
from resources.storage import Storage, StorageError
from resources.tables import SAMPLES, TableRef, Tables
from resources.vlm.question import Vlm
from resources.warehouse import Warehouse

ANSWERS = "answers"
"""Folder of the store with answers of incomplete tables: they were paid for, so nothing but a complete table removes them."""

ANY_SIZE = Limits(math.inf)
"""Samples that are ok have passed the limits of their dataset."""


@dataclass(frozen=True)
class Captioner:
    """One declared captioner, ready to ask.

    Attributes:
        declaration: what the user declared.
        prompt: its prompt.
        vlm: who is asked.
        budget: of this run.
        threads: questions under way at the same time.
    """

    declaration: CaptionsDeclaration
    prompt: Prompt
    vlm: Vlm
    budget: Budget
    threads: int

    @property
    def table(self) -> CaptionTable:
        """Its table."""
        return caption_table(self.declaration)

    @property
    def version(self) -> str:
        """The version of its rows."""
        return caption_version(self.declaration, self.prompt)


def build_captions(
    storage: Storage,
    warehouse: Warehouse,
    captioner: Captioner,
    shard: str,
    retry: str | None = None,
    shards: Shards | None = None,
) -> MetricResult:
    """Bring the table of a captioner up to date for one shard.

    Args:
        storage: reaches the files.
        warehouse: over the lake.
        captioner: who is asked, and how; the samples of this shard of its dataset must be there.
        shard: the shard's name.
        retry: None keeps failed rows; otherwise failed rows whose reason contains this text are asked about again.
        shards: of the dataset, where the builds of several shards share what it finds.

    Raises:
        BudgetSpentError: the budget is spent; what was answered is kept, and the next run goes on.
        VlmError: the model cannot be used; what was answered is kept.
        PromptError: the prompt cannot be rendered for the shard's samples; nothing was asked.
        StorageError: the store cannot be written.
    """
    tables, name, dataset = warehouse.tables, captioner.declaration.name, captioner.declaration.dataset
    ref = TableRef(dataset, SAMPLES, shard)
    digest = tables.footer(ref)["samples_digest"]
    samples = tables.read(ref, columns=["sample_id", "uri", "status"])
    ok = samples.filter(pc.equal(samples["status"], "ok")).to_pylist()
    uris = {row["sample_id"]: row["uri"] for row in ok}
    present = present_uris(warehouse, dataset, shard)
    growing = start_table(
        tables,
        dataset,
        shard,
        captioner.table,
        captioner.version,
        uris,
        retry,
        shards or Shards(warehouse, dataset),
        ANSWERS,
    )
    todo = [row for row in ok if row["uri"] in present and row["sample_id"] not in growing.done]
    if todo:
        asked = _asked(tables, captioner, shard, todo)  # all, before the first is paid
        captioner.vlm.check(captioner.declaration.fields)
        known = _known(tables, dataset, {uri for one in asked for uri in one.beside})
        place = place_of(storage, warehouse, dataset, [*(one.sample_id for one in asked), *known.values()])
        files = _files(place, {**known, **{one.uri: one.sample_id for one in asked}})
        keys = _keys(tables, captioner, shard, retry)
        left = _ask_all(place.medium, files, captioner, shard, growing, asked, keys)
        if left:
            raise BudgetSpentError(
                f"{dataset}/{name}: the budget of this run is spent ({captioner.budget.used}); {len(todo) - left:,} samples "
                f"of shard {shard} were answered now and {left:,} are left. Run it again to go on, or raise `budget`"
            )
    write_table(tables, dataset, shard, growing, list(uris), {"samples_digest": digest})
    growing.unfinished.clear()
    return growing.result


@dataclass(frozen=True)
class _Asked:
    """What is asked about one sample: its text, and the addresses of the pictures beside its own."""

    sample_id: str
    uri: str
    text: str
    beside: tuple[str, ...]


def _asked(tables: Tables, captioner: Captioner, shard: str, todo: Sequence[dict[str, Any]]) -> list[_Asked]:
    """The questions about some samples of a shard.

    Raises:
        PromptError: one of them cannot be rendered.
    """
    pictures = captioner.declaration.pictures
    also = (SAMPLE,) if pictures else ()
    context = Context(tables, captioner.declaration.dataset, shard, captioner.prompt, also)

    def of(row: dict[str, Any]) -> _Asked:
        values = context.of(row["sample_id"])
        beside = tuple(one.render(values) for one in pictures)
        return _Asked(row["sample_id"], row["uri"], captioner.prompt.render(values), beside)

    return [of(row) for row in todo]


def _known(tables: Tables, dataset: str, uris: Collection[str]) -> dict[str, str]:
    """Which of some addresses are objects of the dataset that can be read: uri -> ``sample_id``."""
    found: dict[str, str] = {}
    if not uris:
        return found
    wanted = pa.array(sorted(uris), pa.string())
    for shard in tables.shards(dataset, SAMPLES):
        rows = tables.read(TableRef(dataset, SAMPLES, shard), columns=["sample_id", "uri", "status"])
        rows = rows.filter(
            pc.and_(pc.is_in(rows["uri"], wanted), pc.is_in(rows["status"], pa.array(["ok", "duplicate"])))
        )
        found |= dict(zip(rows["uri"].to_pylist(), rows["sample_id"].to_pylist(), strict=True))
    return found


def _files(place: Place, sample_ids: Mapping[str, str]) -> Callable[[str], File]:
    """``uri -> File`` of these objects; any other raises StorageError."""
    found = place.files(sample_ids)

    def of(uri: str) -> File:
        if uri not in sample_ids:
            raise StorageError(f"'{uri}' is no readable object of the dataset; correct `beside`", kind="not_found")
        return found(uri)

    return of


def _ask_all(
    medium: Medium,
    files: Callable[[str], File],
    captioner: Captioner,
    shard: str,
    growing: TableBuilder,
    asked: Sequence[_Asked],
    keys: Callable[[str], str],
) -> int:
    """Ask about all of these samples, in threads; gives how many are left because the budget is spent."""
    schema = captioner.table.schema()

    def answer(one: _Asked) -> dict[str, Any]:
        found = _answer(files, keys(one.sample_id), one, medium, captioner)
        found |= {"sample_id": one.sample_id, "metric_version": growing.version, "computed_at": datetime.now(UTC)}
        growing.unfinished.keep(pa.Table.from_pylist([found], schema=schema))
        return found

    label = f"{captioner.declaration.dataset} {shard}: {captioner.declaration.name}"
    under_way: set[Future[dict[str, Any]]] = set()
    begun = 0
    with track(label, len(asked)) as advance, _pool(captioner.threads, under_way, label, growing) as pool:
        while under_way or begun < len(asked):
            while begun < len(asked) and len(under_way) < captioner.threads and captioner.budget.begin():
                under_way.add(pool.submit(answer, asked[begun]))
                begun += 1
            if not under_way:
                break
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                under_way.discard(future)
                growing.add(future.result())
                advance(1)
    return len(asked) - begun


def _keys(tables: Tables, captioner: Captioner, shard: str, retry: str | None) -> Callable[[str], str]:
    """``sample_id -> `` the key of its question: equal however often a run is killed, and another one for a retry, which wants
    another answer than the one that failed.
    """
    ref = TableRef(captioner.declaration.dataset, captioner.declaration.name, shard)
    failed: dict[str, str] = {}
    if retry is not None and tables.exists(ref):
        rows = tables.read(ref, columns=["sample_id", "computed_at"]).to_pylist()
        failed = {row["sample_id"]: f"-after-{row['computed_at']:%Y%m%dT%H%M%S%f}" for row in rows}
    return lambda sample_id: f"{captioner.version}-{sample_id}{failed.get(sample_id, '')}"


@contextmanager
def _pool(
    threads: int, under_way: set[Future[dict[str, Any]]], label: str, growing: TableBuilder
) -> Iterator[ThreadPoolExecutor]:
    """Threads that ask. When the work ends early nothing more begins, and answers that come soon are kept."""
    pool = ThreadPoolExecutor(threads, thread_name_prefix="arot-ask")
    try:
        yield pool
    except BaseException:
        leave(pool, under_way)
        kept(label, growing.result.computed)
        raise
    pool.shutdown()


def _answer(
    files: Callable[[str], File], key: str, one: _Asked, medium: Medium, captioner: Captioner
) -> dict[str, Any]:
    """The row of one sample, without its id; one that cannot be opened costs nothing, nor one without its pictures beside."""
    images: list[bytes] = []
    for uri in (one.uri, *one.beside):
        try:
            if captioner.declaration.stills is not None:
                images.extend(sent_stills(medium, partial(files, uri), one.sample_id, captioner.declaration))
                continue
            with medium.open(files(uri), frozenset({STILL}), ANY_SIZE) as view:
                images.append(jpeg(next(iter(view.stills())).image.rgb, captioner.declaration.image))
        except StorageError as error:
            if error.is_outage:
                raise
            return _unasked(captioner, f"{UNREADABLE}{error.reason}")
        except DecodeError as error:
            return _unasked(captioner, f"{error.status}: {error.reason}")
    return ask(captioner.declaration, captioner.vlm, captioner.budget, key, tuple(images), one.text)


def _unasked(captioner: Captioner, reason: str) -> dict[str, Any]:
    captioner.budget.end(0, 0, 0)
    return {"status": "failed", "reason": reason}
