"""What was said since a model was trained: how many new ratings, and whether they are enough to train again by itself.

Belongs here: counting them, and ``start_after``. Does not belong here: starting a training (``assets.py``, ``automation.py``).

Ratings count if the query of the labels reads a table of theirs; they are told apart by the moment at which they were taken in.
Labels from elsewhere (folders, files, SQL models) count by sample: those with a label that the model was not trained with.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.inputs import CODE_VERSION, TrainingInputs, settings_of, usable_inputs
from arot_assets.classifiers.label_query import LabelError, query_tables
from arot_assets.classifiers.labels import read_labels
from arot_assets.classifiers.promotion import classifier_file, latest, read_json
from arot_assets.datasets.inventory import InventoryError
from arot_assets.datasets.places import dataset_root
from arot_assets.ratings.declaration import SKIP
from arot_assets.ratings.joined import OK
from resources.models.entry import ModelError
from resources.tables import RATINGS, RatingsRef, Tables
from resources.warehouse import Connection

Heard = Mapping[str, list[Any]]
"""Ratings -> how many events there were, and when the last one was taken in (ISO 8601)."""
HEARD = "heard"
"""Of ``about.json`` and of the labels' footer: what was said when they were read."""


def heard(tables: Tables, declaration: ClassifierDeclaration) -> Heard:
    """What the ratings say by now that the labels are read from; empty if they come from elsewhere."""
    found = {}
    for name in _ratings_of(tables, declaration):
        moments = tables.read(RatingsRef(name), columns=["recorded_at"])["recorded_at"]
        last = pc.max(moments).as_py()
        found[name] = [len(moments), last.isoformat() if last else ""]
    return found


def heard_with(tables: Tables, name: str) -> Heard:
    """What was said when the labels were read that lie in the store."""
    footer = tables.footer_if_any(classifier_file(name, "labels.parquet")) or {}
    found: Heard = json.loads(footer.get(HEARD, "{}"))
    return found


def settings_digest(declaration: ClassifierDeclaration) -> str:
    """12 hex digits of all that a model depends on beside labels and inputs."""
    parts = json.dumps([CODE_VERSION, settings_of(declaration)], sort_keys=True)
    return hashlib.sha256(parts.encode()).hexdigest()[:12]


def waits(tables: Tables, declaration: ClassifierDeclaration, labels: pa.Table, usable: TrainingInputs) -> str:
    """Why automation does not train again yet, in a line; empty if it may: there was no training yet, enough was said since,
    something was taken back, or settings or inputs changed.

    Args:
        tables: the store.
        declaration: with ``start_after``.
        labels: as ``labels.SCHEMA``, those of now.
        usable: what would be trained from.
    """
    last = latest(tables, declaration.name)
    if declaration.start_after <= 1 or last is None or last.inputs == usable.digest:
        return ""
    about = read_json(tables, declaration.name, last.digest, "about.json")
    if about.get("settings_digest") != settings_digest(declaration) or about["input_versions"] != dict(usable.versions):
        return ""
    count, what = _new_ratings(tables, declaration, about), "new ratings"
    if count is None and not _ratings_of(tables, declaration):
        count, what = _new_labels(tables, declaration.name, last.digest, labels, about), "new labels"
    if count is None or count >= declaration.start_after:
        return ""
    return (
        f"{count:,} {what} of {declaration.start_after:,} (start_after): automation waits for "
        f"{declaration.start_after - count:,} more; `arot run` and the UI train at once"
    )


def waits_now(con: Connection, tables: Tables, declaration: ClassifierDeclaration) -> str:
    """The same of the labels that there are now; empty where they cannot be read, which the training reports."""
    import duckdb

    if declaration.start_after <= 1 or latest(tables, declaration.name) is None:
        return ""
    try:
        labels = read_labels(con, declaration, dataset_root(tables, declaration.dataset))
        return waits(tables, declaration, labels, usable_inputs(con, declaration, labels))
    except (LabelError, InventoryError, ModelError, duckdb.Error):
        return ""


def _ratings_of(tables: Tables, declaration: ClassifierDeclaration) -> list[str]:
    query = declaration.labels.query
    try:
        read = query_tables(query) if query else []
    except LabelError:
        return []
    names = {table if schema == RATINGS else schema for schema, table in read} | {declaration.labels.pairs or ""} - {""}
    return sorted(name for name in names if tables.exists(RatingsRef(name)))


def _new_ratings(tables: Tables, declaration: ClassifierDeclaration, about: Mapping[str, Any]) -> int | None:
    """How many ratings that count were taken in since; None if that is not known, or some were taken back."""
    names, before = _ratings_of(tables, declaration), about.get(HEARD) or {}
    if not names or set(names) != set(before):
        return None
    count = 0
    for name in names:
        rows = tables.read(RatingsRef(name), columns=["recorded_at", "kind", "status"])
        number, last = before[name]
        later = rows
        if last:
            later = rows.filter(pc.greater(rows["recorded_at"], pa.scalar(datetime.fromisoformat(last))))
        if rows.num_rows - later.num_rows < number:
            return None
        counts = pc.and_(pc.equal(later["status"], OK), pc.not_equal(later["kind"], SKIP))
        count += int(later.filter(counts).num_rows)
    return int(count)


def _new_labels(tables: Tables, name: str, digest: str, labels: pa.Table, about: Mapping[str, Any]) -> int | None:
    """How many samples have a label that the model was not trained with; None if that is not known."""
    learnt = tables.read(classifier_file(name, digest, "split.parquet"))
    if "said" not in learnt.column_names:
        return None
    known = dict(zip(learnt["sample_id"].to_pylist(), learnt["said"].to_pylist(), strict=True))
    now = zip(labels["sample_id"].to_pylist(), said(labels), strict=True)
    return max(0, sum(bool(known.get(sample) != text) for sample, text in now) - int(about.get("unused", 0)))


def said(labels: pa.Table) -> list[str]:
    """The label of each row as text: of labels and of splits, which have the same columns."""
    columns = [labels[name].to_pylist() for name in ("label", "labels", "value")]
    return [json.dumps(next((v for v in row if v is not None), None)) for row in zip(*columns, strict=True)]
