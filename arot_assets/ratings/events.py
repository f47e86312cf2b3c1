"""The events of ratings: append-only files below ``ratings/<name>/events/``.

Belongs here: what an event holds, appending, reading, and taking a rater's away. Does not belong here: sources (``sources/``),
samples (``joined.py``).

Nobody's rating is overwritten. An event carries the key of what was said; when a source says something else under a key that it
has used before, that is another event, whose ``replaces`` names the earlier one. The id of an event is a hash of its key, its
content and what it replaces, so a source that is read again adds nothing, and two processes that read it at the same time write
equal events, which count once.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from arot_assets.columns import Column
from arot_assets.datasets.forgotten import forgotten, is_forgotten
from arot_assets.ratings.declaration import SKIP, ScaleRule
from arot_assets.ratings.said import Statement
from resources.tables import RatingsRef, Tables
from resources.tables.refs import SUFFIX, StoreFile

if TYPE_CHECKING:
    from arot_assets.ratings.declaration import By

ROOT = "ratings"
INPUTS = "inputs"
"""The footer's string of every table that is made from events: what it was made from."""
NAMING = ("ratings", "raters")
"""Tables made from events that name raters."""
EVENTS = "events"
TAKEN_BACK = "the rater took it back: it is not on the server any more"
COLUMNS = (
    Column("event_id", pa.string(), "32 hex digits: of the key, the content and what it replaces"),
    Column("key", pa.string(), "16 hex digits: what was said later under the same key corrects it"),
    Column("replaces", pa.string(), "the event that this one corrects; null for a first one"),
    Column("source", pa.string(), "name of the declared source, or of the review"),
    Column("kind", pa.string(), "score | category | labels | pair | ranking | skip"),
    Column("by", pa.string(), "what the items are: id | sha256 | uri | path"),
    Column("items", pa.list_(pa.string()), "what it is about, as the source names it; several for pairs and rankings"),
    Column("rater", pa.string(), "who said it; null if the source does not tell"),
    Column("score", pa.float64(), "as given, between `low` and `high`; null for other kinds"),
    Column("low", pa.float64(), "lowest score of the source's scale"),
    Column("high", pa.float64(), "highest score of the source's scale"),
    Column("labels", pa.list_(pa.string()), "the class, or the labels"),
    Column("ranks", pa.list_(pa.int32()), "rank of each item, 1 is the best, equal ranks are ties"),
    Column("rated_at", pa.timestamp("us", tz="UTC"), "when it was said, UTC; null if not told, or without a zone"),
    Column("seconds", pa.float64(), "how long it took"),
    Column("session", pa.string(), "the sitting in which it was said"),
    Column("fault", pa.string(), "why it cannot be used; null for most"),
    Column("note", pa.string(), "what was not understood, although it can be used"),
    Column("recorded_at", pa.timestamp("us", tz="UTC"), "when it was taken in, UTC"),
)
SCHEMA = pa.schema([column.field() for column in COLUMNS])
CONTENT = ("kind", "by", "items", "rater", "score", "low", "high", "labels", "ranks", "fault")
"""What another value of makes another event; a time that a source rewrites does not."""


def ratings_file(name: str, *parts: str) -> StoreFile:
    """A file of one ratings' folder."""
    return StoreFile("/".join((ROOT, name, *parts)))


def read_events(tables: Tables, name: str) -> pa.Table:
    """All events, in the order in which they were taken in; an event that was written twice counts once."""
    files = [
        ratings_file(name, EVENTS, file) for file in tables.list(f"{ROOT}/{name}/{EVENTS}") if file.endswith(SUFFIX)
    ]
    if not files:
        return SCHEMA.empty_table()
    table = pa.concat_tables([tables.read(file).select(SCHEMA.names).cast(SCHEMA) for file in files])
    seen: set[str] = set()
    first = [not (i in seen or seen.add(i)) for i in table["event_id"].to_pylist()]  # type: ignore[func-returns-value]
    return table.filter(pa.array(first, pa.bool_()))


def append_events(
    tables: Tables,
    name: str,
    source: str,
    by: "By",
    scale: ScaleRule,
    said: Iterable[Statement],
    now: datetime | None = None,
    *,
    scales: Mapping[str, ScaleRule] | None = None,
    whole: str = "",
) -> int:
    """Take in what a source says that it had not said before.

    Args:
        tables: the store's tables.
        name: of the ratings.
        source: its name.
        by: what its items are.
        scale: of its scores.
        said: everything that it says.
        now: when; by default now.
        scales: of raters who use another one.
        whole: a session of which it says everything: what it does not say of it any more was taken back, as in a project of a
            server. A file may just have been shortened.

    Returns:
        How many events were added.

    Raises:
        StorageError: the store cannot be written.
    """
    moment, withdrawn = now or datetime.now(UTC), withdrawn_raters(tables, name)
    taken_down = forgotten(tables)
    chains: dict[str, list[dict[str, Any]]] = {}
    for row in read_events(tables, name).to_pylist():
        chains.setdefault(row["key"], []).append(row)
    again: dict[str, list[dict[str, Any]]] = {}
    told: set[str] = set()
    for one in said:
        row = _row(source, by, (scales or {}).get(one.rater, scale), one, moment)
        told.add(row["key"])
        if rater_mark(name, one.rater) not in withdrawn and not is_forgotten(taken_down, row["items"]):
            again.setdefault(row["key"], []).append(row)
    new = []
    for key, rows in again.items():
        last = chains[key][-1]["event_id"] if key in chains else None
        for row in _unheard(chains.get(key, []), rows):
            row["replaces"] = last
            row["event_id"] = last = _hash(last, key, *(row[c] for c in CONTENT))
            new.append(row)
    if whole:
        silent = (rows[-1] for key, rows in chains.items() if key not in told)
        of_it = (row for row in silent if (row["source"], row["session"]) == (source, whole))
        new += [_taken_back(row, moment) for row in of_it if row["kind"] != SKIP]
    if new:
        digest = _hash(*(row["event_id"] for row in new))[:8]
        file = ratings_file(name, EVENTS, f"{moment:%Y%m%dT%H%M%S%f}-{digest}{SUFFIX}")
        tables.write(pa.Table.from_pylist(new, schema=SCHEMA), file)
    return len(new)


def _unheard(before: list[dict[str, Any]], now: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a source says under one key beyond what it has said: a log that tells everything again adds its new end alone.

    The longest end of what is known that the source begins with is left out; so is what only repeats the line above.
    """
    told = [row for k, row in enumerate(now) if k == 0 or _content(row) != _content(now[k - 1])]
    known, saying = [_content(row) for row in before], [_content(row) for row in told]
    longest = next(n for n in range(min(len(known), len(saying)), -1, -1) if n == 0 or known[-n:] == saying[:n])
    return told[longest:]


def _taken_back(row: dict[str, Any], moment: datetime) -> dict[str, Any]:
    """The event that a rating is not held to any more: its rater says nothing now."""
    nothing = dict.fromkeys(("score", "low", "high", "labels", "ranks", "rated_at", "seconds", "fault"))
    after = row | nothing | {"kind": SKIP, "note": TAKEN_BACK, "replaces": row["event_id"], "recorded_at": moment}
    return after | {"event_id": _hash(row["event_id"], row["key"], *(after[c] for c in CONTENT))}


def _content(row: dict[str, Any]) -> list[Any]:
    return [row[column] for column in CONTENT]


def current_events(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Those that no later event replaces."""
    found = list(rows)
    replaced = {row["replaces"] for row in found}
    return (row for row in found if row["event_id"] not in replaced)


def withdraw(tables: Tables, name: str, rater: str) -> int:
    """Remove everything that a rater said, for good; a source that still has it adds it no more.

    What remains of the rater is a hash of the name, so that the sources' copies stay out. Tables that name raters lose the
    rater's rows at once, and are outdated, like all that was made from the ratings.

    Returns:
        How many events were removed.

    Raises:
        StorageError: the store cannot be written; calling it again removes the rest.
    """
    marks = sorted(withdrawn_raters(tables, name) | {rater_mark(name, rater)})
    tables.write_bytes(json.dumps(marks).encode(), ratings_file(name, "withdrawn.json"))  # first: nothing comes back
    removed = 0
    for file in tables.list(f"{ROOT}/{name}/{EVENTS}"):
        place = ratings_file(name, EVENTS, file)
        rows = tables.read(place)
        kept = rows.filter(pa.array([r != rater for r in rows["rater"].to_pylist()], pa.bool_()))
        if kept.num_rows == rows.num_rows:
            continue
        removed += rows.num_rows - kept.num_rows
        if kept.num_rows:
            tables.write(kept, place)
        else:
            tables.storage.delete(tables.uri(place))
    for table in NAMING:
        ref = RatingsRef(name, table)
        if tables.exists(ref):
            rows, marks_kept = tables.read(ref), {k: v for k, v in tables.footer(ref).items() if k != INPUTS}
            kept = rows.filter(pa.array([r != rater for r in rows["rater"].to_pylist()], pa.bool_()))
            # without its inputs, which the rows' schema carries too, the table is outdated and made again
            tables.write(kept.replace_schema_metadata(None), ref, footer=marks_kept)
    return removed


def withdrawn_raters(tables: Tables, name: str) -> set[str]:
    """The marks of raters who withdrew their consent."""
    place = ratings_file(name, "withdrawn.json")
    return set(json.loads(tables.read_bytes(place))) if tables.exists(place) else set()


def rater_mark(name: str, rater: str) -> str:
    """What stands for a rater who withdrew: 32 hex digits of a hash."""
    return _hash("withdrawn", name, rater)


def _row(source: str, by: str, scale: ScaleRule, said: Statement, moment: datetime) -> dict[str, Any]:
    scored = said.score is not None
    return {
        "key": _hash(source, said.key)[:16],
        "source": source,
        "kind": said.kind,
        "by": by,
        "items": list(said.items),
        "rater": said.rater or None,
        "score": said.score,
        "low": scale.low if scored else None,
        "high": scale.high if scored else None,
        "labels": list(said.labels) if said.kind in ("category", "labels") else None,
        "ranks": list(said.ranks) or None,
        "rated_at": said.rated_at,
        "seconds": said.seconds,
        "session": said.session or None,
        "fault": said.fault or None,
        "note": said.note or None,
        "recorded_at": moment,
    }


def _hash(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:32]
