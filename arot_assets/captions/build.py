"""Filling the table of a captioner: ask about the samples that have no current row.

Belongs here: the work of one shard, in threads of this process or on the nodes of an engine. Does not belong here: the answer
about one sample (``answering.py``), Dagster.

The rules of rows are those of metric tables: what is current stays, content that another shard has an answer for is copied, and
the table is replaced when it is complete. Whatever ends the process, only questions under way are asked again.
"""

from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.captions.answering import ANSWERS, Answering, Asked
from arot_assets.captions.budget import Budget, BudgetSpentError
from arot_assets.captions.context import Context
from arot_assets.captions.declaration import CaptionsDeclaration
from arot_assets.captions.prompt import SAMPLE, Prompt
from arot_assets.captions.table import CaptionTable, caption_table, caption_version
from arot_assets.datasets.places import Place, place_of
from arot_assets.datasets.presence import Shards, present_uris
from arot_assets.metrics.table_builder import MetricResult, TableBuilder, start_table, write_table
from arot_assets.progress import kept, track
from resources.parallel import leave
from resources.storage import Storage
from resources.tables import SAMPLES, TableRef, Tables
from resources.vlm.question import Vlm
from resources.warehouse import Warehouse

OnNodes = Callable[[Iterable[Asked]], Generator[tuple[Asked, dict[str, Any]], None, None]]
"""Asks about samples on the machines of an engine: gives each with its row, as they are answered (``Compute.workers``)."""


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
    on_nodes: OnNodes | None = None,
) -> MetricResult:
    """Bring the table of a captioner up to date for one shard.

    Args:
        storage: reaches the files.
        warehouse: over the lake.
        captioner: who is asked, and how; the samples of this shard of its dataset must be there.
        shard: the shard's name.
        retry: None keeps failed rows; otherwise failed rows whose reason contains this text are asked about again.
        shards: of the dataset, where the builds of several shards share what it finds.
        on_nodes: asks in place of this process.

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
        asked = _asked(tables, captioner, shard, todo, retry)  # all, before the first is paid
        if on_nodes is not None:
            left = _ask_on_nodes(on_nodes, captioner, growing, asked)
        else:
            captioner.vlm.check(captioner.declaration.fields)
            place = place_of(storage, warehouse, dataset, {sample for one in asked for sample in one.samples.values()})
            left = _ask_here(place, captioner, growing, asked)
        if left:
            raise BudgetSpentError(
                f"{dataset}/{name}: the budget of this run is spent ({captioner.budget.used}); {len(todo) - left:,} samples "
                f"of shard {shard} were answered now and {left:,} are left. Run it again to go on, or raise `budget`"
            )
    write_table(tables, dataset, shard, growing, list(uris), {"samples_digest": digest})
    growing.unfinished.clear()
    return growing.result


def _asked(
    tables: Tables, captioner: Captioner, shard: str, todo: Sequence[dict[str, Any]], retry: str | None
) -> list[Asked]:
    """The questions about some samples of a shard.

    Raises:
        PromptError: one of them cannot be rendered.
    """
    dataset, pictures = captioner.declaration.dataset, captioner.declaration.pictures
    also = (SAMPLE,) if pictures else ()
    context, keys = Context(tables, dataset, shard, captioner.prompt, also), _keys(tables, captioner, shard, retry)
    texts: list[tuple[str, tuple[str, ...]]] = []
    for row in todo:
        values = context.of(row["sample_id"])
        texts.append((captioner.prompt.render(values), tuple(one.render(values) for one in pictures)))
    known = _known(tables, dataset, {uri for _, beside in texts for uri in beside})
    found: list[Asked] = []
    for row, (text, beside) in zip(todo, texts, strict=True):
        sample, uri = row["sample_id"], row["uri"]
        samples = {**{one: known[one] for one in beside if one in known}, uri: sample}
        found.append(Asked(sample, uri, shard, text, beside, samples, keys(sample)))
    return found


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


def _ask_here(place: Place, captioner: Captioner, growing: TableBuilder, asked: Sequence[Asked]) -> int:
    """Ask about all of these samples, in threads; gives how many are left because the budget is spent."""
    answering = Answering(captioner.declaration, growing.version, captioner.vlm, captioner.budget, place)
    label = _label(captioner, asked)
    under_way: set[Future[dict[str, Any]]] = set()
    begun = 0
    with track(label, len(asked)) as advance, _pool(captioner.threads, under_way, label, growing) as pool:
        while under_way or begun < len(asked):
            while begun < len(asked) and len(under_way) < captioner.threads and captioner.budget.begin():
                under_way.add(pool.submit(answering, asked[begun], growing.unfinished))
                begun += 1
            if not under_way:
                break
            done, _ = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                under_way.discard(future)
                growing.add(future.result())
                advance(1)
    return len(asked) - begun


def _ask_on_nodes(on_nodes: OnNodes, captioner: Captioner, growing: TableBuilder, asked: Sequence[Asked]) -> int:
    """The same on the machines of an engine: what a question may use is taken from the budget before it is sent."""
    label, budget = _label(captioner, asked), captioner.budget
    begun = 0

    def affordable() -> Iterator[Asked]:
        nonlocal begun
        while begun < len(asked) and budget.begin():
            begun += 1
            yield asked[begun - 1]

    try:
        with track(label, len(asked)) as advance:
            before = -1
            while before < begun < len(asked):  # what was not affordable while others were under way may be now
                before = begun
                with closing(on_nodes(affordable())) as answers:
                    for _, row in answers:
                        budget.end(row.get("tokens_in") or 0, row.get("tokens_out") or 0, row.get("attempts") or 0)
                        growing.add(row)
                        advance(1)
    except BaseException:
        kept(label, growing.result.computed)
        raise
    return len(asked) - begun


def _label(captioner: Captioner, asked: Sequence[Asked]) -> str:
    return f"{captioner.declaration.dataset} {asked[0].shard}: {captioner.declaration.name}"


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
