"""The table ``ratings.<name>``: every event with the samples that it is about, and whether it counts.

Belongs here: finding the samples of events, and what makes an event invalid. Does not belong here: events (``events.py``), what
the ratings say together (``agreement.py``, ``scale.py``).

The table has a row for each event, whatever became of it; a check proves it. It is made from the events and the samples alone, so
a rating that came before its sample counts as soon as the sample is there.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from arot_assets.columns import Column
from arot_assets.datasets.places import all_roots
from arot_assets.errors import did_you_mean
from arot_assets.ratings.declaration import SKIP, RatingsDeclaration
from arot_assets.ratings.events import COLUMNS as EVENT_COLUMNS
from arot_assets.ratings.events import TAKEN_BACK, current_events
from resources.tables import SAMPLES, Tables
from resources.warehouse import Connection
from resources.warehouse.views import literal, quote

CODE_VERSION = "1"
OK, UNMATCHED, INVALID, REPLACED, SKIPPED = "ok", "unmatched", "invalid", "replaced", "skipped"
COLUMNS = (
    Column("sample_id", pa.string(), "the sample; null for pairs and rankings, and for what is unmatched"),
    Column("samples", pa.list_(pa.string()), "the samples of a pair or ranking, in the order of `ranks`"),
    Column("value", pa.float64(), "the score on the scale of the ratings, whatever scale the source has"),
    Column("label", pa.string(), "the class; null for other kinds"),
    *(column for column in EVENT_COLUMNS if column.name not in ("fault", "by")),
    Column("status", pa.string(), "ok | replaced by a correction | unmatched | invalid | skipped by the rater"),
    Column("reason", pa.string(), "why it does not count"),
)
SCHEMA = pa.schema([column.field() for column in COLUMNS])
Found = tuple[str | None, str]
"""The sample that a name stands for, and why there is none."""


def joined(con: Connection, tables: Tables, declaration: RatingsDeclaration, events: pa.Table) -> pa.Table:
    """The rows of ``ratings.<name>``, one for each event.

    Args:
        con: a connection with the views of the dataset.
        tables: the store's tables.
        declaration: scale, classes and dataset.
        events: as ``events.SCHEMA``.
    """
    rows = events.to_pylist()
    found = {by: _find(con, tables, declaration.dataset, by, names) for by, names in _names(rows).items()}
    current = {row["event_id"] for row in current_events(rows)}
    made = [_row(row, found[row["by"]], row["event_id"] in current, declaration) for row in rows]
    return pa.Table.from_pylist(made, schema=SCHEMA)


def rules_digest(declaration: RatingsDeclaration) -> str:
    """12 hex digits of everything declared that the table depends on."""
    rules = [CODE_VERSION, declaration.dataset, declaration.scale.model_dump(), declaration.categories]
    return hashlib.sha256(json.dumps(rules).encode()).hexdigest()[:12]


def _row(
    row: dict[str, Any], found: Mapping[str, Found], current: bool, declaration: RatingsDeclaration
) -> dict[str, Any]:
    samples = [found[item] for item in row["items"] or ()]
    compared = row["kind"] in ("pair", "ranking")
    fault = row["fault"] or _fault(row, declaration)
    missing = next((reason for sample, reason in samples if sample is None), "" if samples else "it names no sample")
    ids = [sample for sample, _ in samples if sample is not None]
    if not missing and not fault and compared and len(set(ids)) < len(ids):
        fault = "the same image is in it twice: its files have the same bytes"
    status, reason = OK, None
    if not current:
        status, reason = REPLACED, "the rater corrected it"
    elif fault:
        status, reason = INVALID, fault
    elif missing:
        status, reason = UNMATCHED, missing
    elif row["kind"] == SKIP:
        status, reason = SKIPPED, row["note"] if row["note"] == TAKEN_BACK else "the rater said nothing"
    kept = {name: row[name] for name in SCHEMA.names if name in row}
    return kept | {
        "sample_id": ids[0] if len(ids) == 1 and len(samples) == 1 else None,
        "samples": ids if compared and not missing else None,
        "value": None if fault else _on_scale(row, declaration),
        "label": row["labels"][0] if row["kind"] == "category" and row["labels"] else None,
        "status": status,
        "reason": reason,
    }


def _on_scale(row: Mapping[str, Any], declaration: RatingsDeclaration) -> float | None:
    if row["score"] is None or row["high"] is None:
        return None
    scale = declaration.scale
    return float(scale.low + (row["score"] - row["low"]) / (row["high"] - row["low"]) * (scale.high - scale.low))


def outside_scale(row: Mapping[str, Any]) -> bool:
    """Whether a score is outside the scale on which it was given."""
    return row["score"] is not None and not row["low"] <= row["score"] <= row["high"]


def _fault(row: Mapping[str, Any], declaration: RatingsDeclaration) -> str:
    """Why a rating cannot be used as declared; empty if it can."""
    if outside_scale(row):
        return (
            f"the score {row['score']:g} is outside {row['low']:g} to {row['high']:g}; declare the scale of its source, or "
            "that of its rater in `scales`"
        )
    known = declaration.categories
    for label in row["labels"] or () if known is not None else ():
        if label not in (known or ()):
            return f"{label!r} is not declared.{did_you_mean(label, known or ())}"
    return ""


def _names(rows: Sequence[Mapping[str, Any]]) -> dict[str, set[str]]:
    names: dict[str, set[str]] = {}
    for row in rows:
        names.setdefault(row["by"], set()).update(row["items"] or ())
    return names


def _find(con: Connection, tables: Tables, dataset: str, by: str, names: set[str]) -> dict[str, Found]:
    """The sample of each name; for a name without one, why."""
    if SAMPLES not in tables.of(dataset):
        return dict.fromkeys(names, (None, f"'{dataset}' has no samples yet"))
    place = {"id": "sample_id", "sha256": "sha256", "uri": "uri"}.get(by)
    if place is None:
        prefixes = [root.rstrip("/") + "/" for root in all_roots(tables, dataset)]
        cases = " ".join(f"when starts_with(uri, {literal(p)}) then substr(uri, {len(p) + 1})" for p in prefixes)
        place = f"case {cases} end"
    con.register("rated_names", pa.table({"name": sorted(names), "wanted": [_plain(by, n) for n in sorted(names)]}))
    try:
        rows = con.execute(
            f"""select n.name, min(s.sample_id) filter (s.status in ('ok', 'duplicate')), count(s.uri),
                min(s.status || coalesce(': ' || s.reason, ''))
            from rated_names n left join {quote(dataset)}.{SAMPLES} s on {place} = n.wanted group by n.name"""
        ).fetchall()
    finally:
        con.unregister("rated_names")
    what = {"id": "id", "sha256": "SHA-256", "uri": "address", "path": "path"}[by]
    return {
        name: (sample, "") if sample else (None, said if count else f"no sample of '{dataset}' has the {what} {name!r}")
        for name, sample, count, said in rows
    }


def _plain(by: str, name: str) -> str:
    if by == "uri":
        return name.removeprefix("file://")
    return name.lower() if by in ("id", "sha256") else name.removeprefix("./").lstrip("/")
