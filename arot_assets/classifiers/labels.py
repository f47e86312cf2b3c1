"""The label table: the class, tags, level or value of each sample, and where it comes from.

Belongs here: reading labels, checked; their digest.
Does not belong here: queries (``label_query.py``), classes (``label_classes.py``), splits (``split.py``), joining labels with
measurements (``inputs.py``).
"""

import hashlib
import json

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.label_classes import declared_classes
from arot_assets.classifiers.label_query import LabelError, query_labels, query_pairs, refuse_lists, some
from resources.warehouse import Connection
from resources.warehouse.views import quote

SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), metadata={"description": "the sample"}),
        pa.field("label", pa.string(), metadata={"description": "its class or level; null where there is none"}),
        pa.field("labels", pa.list_(pa.string()), metadata={"description": "its tags, of a multi_label task"}),
        pa.field("value", pa.float64(), metadata={"description": "its number, of a regression"}),
        pa.field(
            "weight", pa.float32(), metadata={"description": "how much it counts in training, 1 where none is given"}
        ),
        pa.field("given_group", pa.string(), metadata={"description": "what it must share a split with, if given"}),
        pa.field("given_split", pa.string(), metadata={"description": "train | val | test, if given"}),
        pa.field(
            "preferred_to",
            pa.list_(pa.string()),
            metadata={"description": "with labels.pairs: samples that it was preferred to, each as often as it was"},
        ),
        pa.field("source", pa.string(), metadata={"description": "where the label comes from: folder | sql"}),
    ]
)

SPLIT_NAMES = {"train": "train", "val": "val", "validation": "val", "test": "test"}
"""How a query may call a split, and how it is called here."""


def read_labels(con: Connection, declaration: ClassifierDeclaration, root: str) -> pa.Table:
    """The declared labels, one row per sample, in the order of the ids. Rows without a label are omitted.

    Args:
        con: a connection with the catalogue's views.
        declaration: the task, where labels come from, and which classes count.
        root: the dataset's source.

    Returns:
        As ``SCHEMA``.

    Raises:
        LabelError: the query fails or lacks a column, a sample has two labels, a number is not finite, a declared class has no
            samples, or there is nothing to tell apart.
    """
    rows = query_labels(con, declaration, root)
    name, task = declaration.name, declaration.task
    if task == "multi_label":
        rows = _by_sample(rows, name)
    elif task != "regression":
        refuse_lists(rows, name, ("sample_id", "label"))
        rows = rows.set_column(rows.column_names.index("label"), "label", rows["label"].cast(pa.string()))
        rows = rows.filter(pc.is_valid(rows["label"]))
    else:
        rows = _numbers(rows, name)
    rows = rows.group_by(rows.column_names).aggregate([]) if task != "multi_label" else rows
    rows = rows.sort_by([(c, "ascending") for c in rows.column_names if c != "labels"])
    _refuse_two_labels(con, rows, declaration)
    unknown_samples(con, declaration, rows)
    rows = declared_classes(rows, declaration)
    given = {
        "sample_id": rows["sample_id"],
        "weight": _weights(rows, name),
        "given_group": _column(rows, "group_id", pa.string()),
        "given_split": _splits(rows, name),
        "source": pa.array(["folder" if declaration.labels.from_folder else "sql"] * rows.num_rows, pa.string()),
    }
    if declaration.labels.pairs:
        better = query_pairs(con, declaration)
        lists = pa.array([better.get(s, []) for s in rows["sample_id"].to_pylist()], pa.list_(pa.string()))
    else:
        lists = pa.nulls(rows.num_rows, pa.list_(pa.string()))
    given["preferred_to"] = lists
    for column in ("label", "labels", "value"):
        given[column] = _column(rows, column, SCHEMA.field(column).type)
    return pa.table([given[field.name] for field in SCHEMA], schema=SCHEMA)


def _by_sample(rows: pa.Table, name: str) -> pa.Table:
    """The tags of each sample, whether the query returns lists or a row for each tag. A sample may have none."""
    kind = rows.schema.field("label").type
    if not pa.types.is_list(kind) and not pa.types.is_large_list(kind):
        refuse_lists(rows, name, ("label",))
        lists = [[] if text is None else [str(text)] for text in rows["label"].to_pylist()]
    else:
        lists = [[str(tag) for tag in tags or () if tag is not None] for tags in rows["label"].to_pylist()]
    found: dict[str, set[str]] = {}
    others: dict[str, dict[str, object]] = {}
    for row, tags in zip(rows.drop_columns(["label"]).to_pylist(), lists, strict=True):
        sample = row["sample_id"]
        found.setdefault(sample, set()).update(tags)
        if others.setdefault(sample, row) != row:
            raise LabelError(f"{name}: sample {sample} has two weights, groups or splits; make them agree")
    kept = pa.Table.from_pylist(list(others.values()), rows.drop_columns(["label"]).schema)
    return kept.append_column("labels", pa.array([sorted(found[s]) for s in others], pa.list_(pa.string())))


def _numbers(rows: pa.Table, name: str) -> pa.Table:
    """Rows whose value is a number; one that is no number at all, or not finite, is an error and never left out silently."""
    refuse_lists(rows, name, ("value",))
    try:
        values = rows["value"].cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise LabelError(f"{name}: a value is no number: {error}; cast or correct it in the query") from error
    rows = rows.set_column(rows.column_names.index("value"), "value", values)
    rows = rows.filter(pc.is_valid(rows["value"]))
    strange = rows.filter(pc.invert(pc.is_finite(rows["value"])))["sample_id"].to_pylist()
    if strange:
        raise LabelError(
            f"{name}: {len(strange):,} values are not finite (NaN or infinite): {some(strange)}; correct them, or leave them "
            "out with `where isfinite(value)`"
        )
    return rows


def _column(rows: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    return rows[name].cast(kind) if name in rows.column_names else pa.nulls(rows.num_rows, kind)


def _weights(rows: pa.Table, name: str) -> pa.Array:
    weights = pc.fill_null(_column(rows, "weight", pa.float32()), 1.0)
    strange = pc.or_(pc.invert(pc.is_finite(weights)), pc.less(weights, 0))
    if pc.any(strange).as_py():
        ids = rows.filter(strange)["sample_id"].to_pylist()
        raise LabelError(f"{name}: {len(ids):,} weights are negative or not finite: {some(ids)}; correct the query")
    return weights


def _splits(rows: pa.Table, name: str) -> pa.Array:
    said = _column(rows, "split", pa.string())
    strange = sorted({text for text in pc.unique(said).to_pylist() if text is not None and text not in SPLIT_NAMES})
    if strange:
        raise LabelError(f"{name}: split must be one of {', '.join(SPLIT_NAMES)}, got {', '.join(strange)}")
    return pa.array([SPLIT_NAMES.get(text) if text else None for text in said.to_pylist()], pa.string())


def unknown_samples(con: Connection, declaration: ClassifierDeclaration, rows: pa.Table) -> list[str]:
    """The labelled ids that are not readable samples of the dataset; such rows are not used.

    Raises:
        LabelError: there are more of them than objects that ever left the source, so some never existed.
    """
    if not con.has(declaration.dataset, "samples"):
        return []
    there = con.execute(f"select distinct sample_id from {quote(declaration.dataset)}.samples where status = 'ok'")
    known = {str(row[0]) for row in there.fetchall()}
    unknown = [i for i in rows["sample_id"].to_pylist() if i not in known]
    if not unknown or (len(unknown) < rows.num_rows and len(unknown) <= _left(con, declaration.dataset)):
        return unknown
    if any("." in i or "/" in i for i in unknown):
        remedy = f"these look like file names: join {declaration.dataset}.samples on its uri to get the sample_id"
    else:
        remedy = (
            f"exclude them (where sample_id in (select sample_id from {declaration.dataset}.samples)), or correct them"
        )
    raise LabelError(
        f"{declaration.name}: {len(unknown):,} of {rows.num_rows:,} labelled samples are not in '{declaration.dataset}': "
        f"{some(unknown)}; {remedy}"
    )


def _left(con: Connection, dataset: str) -> int:
    """How many objects left the source of a dataset: their labels legitimately remain."""
    if not con.has(dataset, "inventory"):
        return 0
    row = con.execute(f"select count(*) from {quote(dataset)}.inventory where state <> 'present'").fetchone()
    return int(row[0]) if row else 0


def _refuse_two_labels(con: Connection, rows: pa.Table, declaration: ClassifierDeclaration) -> None:
    if "labels" in rows.column_names:  # several are what is meant
        return
    ids = rows["sample_id"].to_pylist()
    labels = rows["value" if declaration.task == "regression" else "label"].to_pylist()
    for k in range(1, len(ids)):
        if ids[k] != ids[k - 1]:
            continue
        if labels[k] == labels[k - 1]:
            raise LabelError(f"{declaration.name}: sample {ids[k]} has two weights, groups or splits; make them agree")
        remedy = "make the query return one row for each sample"
        if declaration.task == "regression":
            remedy += ", such as avg(value) … group by sample_id"
        if declaration.labels.from_folder:
            found = f"select uri from {quote(declaration.dataset)}.samples where sample_id = ? order by uri"
            places = [str(row[0]) for row in con.execute(found, [ids[k]]).fetchall()]
            remedy = f"keep it in one class folder: {some(places)}"
        raise LabelError(
            f"{declaration.name}: sample {ids[k]} has two labels, {labels[k - 1]!r} and {labels[k]!r}; {remedy}"
        )


def labels_digest(labels: pa.Table) -> str:
    """12 hex digits that change whenever a label, its weight, group or split does. Rows are in the order of ``read_labels``."""
    digest = hashlib.sha256()
    columns = ["sample_id", "label", "labels", "value", "weight", "given_group", "given_split"]
    if "preferred_to" in labels.column_names and labels["preferred_to"].null_count < labels.num_rows:
        columns.append("preferred_to")
    for column in columns:
        if column in labels.column_names:
            digest.update(json.dumps(labels[column].to_pylist()).encode())
    return digest.hexdigest()[:12]
