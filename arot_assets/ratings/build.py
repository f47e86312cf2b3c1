"""Taking in ratings and joining them to the samples: the table ``ratings.<name>``.

Belongs here: the order of the work, and the footer that tells whether it is needed. Does not belong here: Dagster, and what the
ratings say together (``trust.py``).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from arot_assets.ratings.collect import SourceRatings, collect, sources_mark
from arot_assets.ratings.declaration import RatingsDeclaration, SourceRule
from arot_assets.ratings.events import INPUTS, read_events
from arot_assets.ratings.joined import joined, rules_digest
from resources.tables import INVENTORY, SAMPLES, RatingsRef, Tables
from resources.warehouse import Warehouse
from resources.warehouse.views import files

SOURCES = "sources"
"""The footer's string: the mark of the sources when they were read."""
CONTENT = "content"
"""The footer's string: what the rows say; what is made from the table depends on it alone."""


@dataclass(frozen=True)
class RatingsResult:
    """What taking in and joining came to.

    Attributes:
        sources: what each source gave.
        statuses: status -> number of events.
        reasons: why events do not count -> number.
        content: the digest of the rows.
    """

    sources: list[SourceRatings]
    statuses: Mapping[str, int]
    reasons: Mapping[str, int]
    content: str


def build_ratings(
    warehouse: Warehouse, declaration: RatingsDeclaration, reviews: list[SourceRule] | None = None
) -> RatingsResult:
    """Take in what the sources say, and join all events to the samples.

    Args:
        warehouse: over the store.
        declaration: what the user declared.
        reviews: sources that `arot review` made.

    Raises:
        RatingsError: a source has another form than declared.
        StorageError: a source cannot be read, or the store not be written.
    """
    tables = warehouse.tables
    mark = sources_mark(
        tables, [*declaration.sources, *(reviews or [])]
    )  # first, so that a change in between is noticed
    taken = collect(tables, declaration, reviews or [])
    inputs = inputs_digest(warehouse, declaration, mark)
    events = read_events(tables, declaration.name)
    with warehouse.connect() as con:
        table = joined(con, tables, declaration, events)
    content = content_digest(table)
    footer = {INPUTS: inputs, SOURCES: mark, CONTENT: content}
    tables.write(table, RatingsRef(declaration.name), footer=footer)
    lost = table.filter(pa.compute.is_in(table["status"], value_set=pa.array(["unmatched", "invalid"])))
    return RatingsResult(taken, Counter(table["status"].to_pylist()), Counter(lost["reason"].to_pylist()), content)


def inputs_digest(warehouse: Warehouse, declaration: RatingsDeclaration, mark: str) -> str:
    """12 hex digits of everything that the table depends on: events, sources, samples, and the declared rules.

    Args:
        warehouse: over the store.
        declaration: what the user declared.
        mark: of the sources.
    """
    tables = warehouse.tables
    parts: list[object] = [mark, rules_digest(declaration), tables.list(f"ratings/{declaration.name}/events")]
    shards = tables.footers(declaration.dataset, SAMPLES)
    parts.append({shard: [footer.strings.get("samples_digest"), footer.num_rows] for shard, footer in shards.items()})
    if INVENTORY in tables.of(declaration.dataset):
        parts.append(
            warehouse.rows(
                f"""select count(*), coalesce(sum(md5_number_lower(uri)::hugeint), 0)::varchar
                from {files(tables, declaration.dataset, INVENTORY)} where state <> 'present'"""
            )
        )
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:12]


def content_digest(table: pa.Table) -> str:
    """12 hex digits of what the ratings say of which samples."""
    rows = zip(
        *(table[name].to_pylist() for name in ("event_id", "status", "sample_id", "samples", "value")), strict=True
    )
    return hashlib.sha256(json.dumps(sorted(map(repr, rows))).encode()).hexdigest()[:12]


def not_conserved(tables: Tables, name: str) -> list[str]:
    """Events without exactly one row in the joined table, and rows without an event: none, unless something else wrote it."""
    events = Counter(read_events(tables, name)["event_id"].to_pylist())
    rows = Counter(tables.read(RatingsRef(name), columns=["event_id"])["event_id"].to_pylist())
    return sorted(((events - rows) + (rows - events)).keys())
