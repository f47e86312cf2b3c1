"""The label table: the class, tags, level or value of each sample, and where it comes from.

Belongs here: labels from folder names or from a user's query, checked; their digest.
Does not belong here: splits (``split.py``), joining labels with measurements (``inputs.py``).
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.tasks import Kind, Task, loss_of
from resources.errors import ArotError
from resources.root import project_root
from resources.storage.hub.address import is_hub
from resources.tables import Tables
from resources.warehouse import Connection
from resources.warehouse.reads import files_mark, read_from
from resources.warehouse.views import literal, quote

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
        pa.field("source", pa.string(), metadata={"description": "where the label comes from: folder | sql"}),
    ]
)

SPLIT_NAMES = {"train": "train", "val": "val", "validation": "val", "test": "test"}
"""How a query may call a split, and how it is called here."""
MOST_NAMED = 5
"""Samples that an error message names."""


class LabelError(ArotError):
    """Labels that cannot be used; the message says which, why and what to do."""


COMMIT = r"^(hf://[a-z]+/[^/@]+/[^/@]+)@[0-9a-f]{40}"
WITHOUT_COMMIT = r"\1"
"""Objects on the Hub are each named at the commit in which they first appeared."""


def folder_query(dataset: str, root: str, depth: int) -> str:
    """SQL: the ``depth``-th folder below the source is the label; samples that are less deep have none.

    A second copy of an image counts: in another folder it has another label, which ``read_labels`` rejects.

    Args:
        dataset: its ``samples`` view is read.
        root: the dataset's source, a prefix of every URI.
        depth: 1 is the first folder below ``root``.
    """
    prefix = root.rstrip("/") + "/"
    place = f"regexp_replace(uri, {literal(COMMIT)}, {literal(WITHOUT_COMMIT)})" if is_hub(root) else "uri"
    return f"""
        select sample_id, folders[{depth}] as label from (
            select sample_id, string_split(substr({place}, {len(prefix) + 1}), '/') as folders
            from {quote(dataset)}.samples where status in ('ok', 'duplicate') and starts_with({place}, {literal(prefix)})
        ) where len(folders) > {depth}"""


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
    rows = _unchecked(con, declaration, root)
    name, task = declaration.name, declaration.task
    if task == "multi_label":
        rows = _by_sample(rows, name)
    elif task != "regression":
        _refuse_lists(rows, name, ("sample_id", "label"))
        rows = rows.set_column(rows.column_names.index("label"), "label", rows["label"].cast(pa.string()))
        rows = rows.filter(pc.is_valid(rows["label"]))
    else:
        rows = _numbers(rows, name)
    rows = rows.group_by(rows.column_names).aggregate([]) if task != "multi_label" else rows
    rows = rows.sort_by([(c, "ascending") for c in rows.column_names if c != "labels"])
    _refuse_two_labels(con, rows, declaration)
    unknown_samples(con, declaration, rows)
    rows = _declared_classes(rows, declaration)
    given = {
        "sample_id": rows["sample_id"],
        "weight": _weights(rows, name),
        "given_group": _column(rows, "group_id", pa.string()),
        "given_split": _splits(rows, name),
        "source": pa.array(["folder" if declaration.labels.from_folder else "sql"] * rows.num_rows, pa.string()),
    }
    for column in ("label", "labels", "value"):
        given[column] = _column(rows, column, SCHEMA.field(column).type)
    return pa.table([given[field.name] for field in SCHEMA], schema=SCHEMA)


def _unchecked(con: Connection, declaration: ClassifierDeclaration, root: str) -> pa.Table:
    """What the query returns: ``sample_id`` as text, and the columns that mean something here."""
    import duckdb

    depth = declaration.labels.from_folder
    query = declaration.labels.from_sql or folder_query(declaration.dataset, root, depth or 1)
    read_from(con, project_root())
    try:
        rows = con.execute(query.rstrip().rstrip(";")).to_arrow_table()
    except duckdb.Error as error:
        remedy = "run `arot run` first" if depth else "try the query with `arot sql`"
        said = str(error).split("\n\nLINE ")[0]  # without the query that DuckDB repeats in its message
        raise LabelError(f"{declaration.name}: labels cannot be read: {said}; {remedy}") from error
    names = {"group": "group_id", "split": "split", "weight": "weight"}
    wanted, other = ("value", "label") if declaration.task == "regression" else ("label", "value")
    if wanted not in rows.column_names and other in rows.column_names:
        names[other] = wanted
    rows = rows.rename_columns([names.get(c, c) for c in rows.column_names])
    missing = {"sample_id", wanted} - set(rows.column_names)
    if missing:
        raise LabelError(
            f"{declaration.name}: labels.from_sql must return sample_id and {wanted}; {sorted(missing)} is missing"
        )
    _refuse_lists(rows, declaration.name, ("sample_id",))
    rows = rows.select([c for c in ("sample_id", wanted, "weight", "group_id", "split") if c in rows.column_names])
    rows = rows.set_column(0, "sample_id", rows["sample_id"].cast(pa.string()))
    return rows.filter(pc.is_valid(rows["sample_id"]))


def _by_sample(rows: pa.Table, name: str) -> pa.Table:
    """The tags of each sample, whether the query returns lists or a row for each tag. A sample may have none."""
    kind = rows.schema.field("label").type
    if not pa.types.is_list(kind) and not pa.types.is_large_list(kind):
        _refuse_lists(rows, name, ("label",))
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
    _refuse_lists(rows, name, ("value",))
    try:
        values = rows["value"].cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise LabelError(f"{name}: a value is no number: {error}; cast or correct it in the query") from error
    rows = rows.set_column(rows.column_names.index("value"), "value", values)
    rows = rows.filter(pc.is_valid(rows["value"]))
    strange = rows.filter(pc.invert(pc.is_finite(rows["value"])))["sample_id"].to_pylist()
    if strange:
        raise LabelError(
            f"{name}: {len(strange):,} values are not finite (NaN or infinite): {_some(strange)}; correct them, or leave them "
            "out with `where isfinite(value)`"
        )
    return rows


def _declared_classes(rows: pa.Table, declaration: ClassifierDeclaration) -> pa.Table:
    """The rows whose labels are to be learnt."""
    wanted = declaration.labels.classes
    if declaration.task == "regression":
        if pc.count_distinct(rows["value"]).as_py() < 2:
            raise LabelError(
                f"{declaration.name}: all {rows.num_rows:,} values are equal, so there is nothing to learn; rate more samples"
            )
        return rows
    found = found_classes(rows, declaration.task)
    absent = [name for name in wanted or () if name not in found]
    if absent:
        raise LabelError(
            f"{declaration.name}: no sample is labelled {', '.join(absent)}; labels found: {', '.join(found) or 'none'}"
        )
    if declaration.task == "multi_label":
        if not found:
            raise LabelError(f"{declaration.name}: no sample has a tag")
        if wanted is not None:
            kept = [[tag for tag in tags if tag in wanted] for tags in rows["labels"].to_pylist()]
            rows = rows.set_column(rows.column_names.index("labels"), "labels", pa.array(kept, pa.list_(pa.string())))
        return rows
    if wanted is not None:
        return rows.filter(pc.is_in(rows["label"], value_set=pa.array(wanted, pa.string())))
    if len(found) < 2:
        raise LabelError(
            f"{declaration.name}: a classifier needs two classes or more, found: {', '.join(found) or 'none'}"
        )
    return rows


def found_classes(rows: pa.Table, task: Kind) -> list[str]:
    """The classes, tags or levels that occur. Levels that are numbers are in their order, everything else in that of the
    alphabet.

    Raises:
        LabelError: levels are no numbers, so their order is not known.
    """
    if task == "multi_label":
        return sorted({tag for tags in rows["labels"].to_pylist() for tag in tags})
    found = sorted(pc.unique(rows["label"]).to_pylist())
    if task == "ordinal":
        try:
            return sorted(found, key=float)
        except ValueError:
            return found
    return found


def counted(labels: pa.Table) -> list[dict[str, object]]:
    """For users: samples of each class, level or tag, the most frequent first; of values their range."""
    if labels["value"].null_count < labels.num_rows:
        low, high = pc.min(labels["value"]).as_py(), pc.max(labels["value"]).as_py()
        return [
            {
                "samples": labels.num_rows,
                "least": low,
                "mean": round(pc.mean(labels["value"]).as_py(), 4),
                "greatest": high,
            }
        ]
    names = labels["label"].to_pylist() if labels["label"].null_count < labels.num_rows else []
    names = names or [tag for tags in labels["labels"].to_pylist() for tag in tags or ()]
    return [{"class": name, "samples": count} for name, count in Counter(names).most_common()]


def task_of(declaration: ClassifierDeclaration, labels: pa.Table) -> Task:
    """What is to be learnt from some labels.

    Raises:
        LabelError: ordered levels are no numbers, and their order is not declared.
    """
    kind = declaration.task
    loss = loss_of(kind, declaration.trained_with.loss)
    if kind == "regression":
        return Task(kind, (), loss)
    classes = declaration.labels.classes or found_classes(labels, kind)
    if kind == "ordinal" and declaration.labels.classes is None and not all(_is_number(name) for name in classes):
        raise LabelError(
            f"{declaration.name}: the order of the levels {', '.join(classes)} is not known; state it in labels.classes, the "
            "lowest first"
        )
    return Task(kind, tuple(classes if kind == "ordinal" else sorted(classes)), loss)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _column(rows: pa.Table, name: str, kind: pa.DataType) -> pa.Array:
    return rows[name].cast(kind) if name in rows.column_names else pa.nulls(rows.num_rows, kind)


def _weights(rows: pa.Table, name: str) -> pa.Array:
    weights = pc.fill_null(_column(rows, "weight", pa.float32()), 1.0)
    strange = pc.or_(pc.invert(pc.is_finite(weights)), pc.less(weights, 0))
    if pc.any(strange).as_py():
        ids = rows.filter(strange)["sample_id"].to_pylist()
        raise LabelError(f"{name}: {len(ids):,} weights are negative or not finite: {_some(ids)}; correct the query")
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
    if not _has_view(con, declaration.dataset, "samples"):
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
        f"{_some(unknown)}; {remedy}"
    )


def _left(con: Connection, dataset: str) -> int:
    """How many objects left the source of a dataset: their labels legitimately remain."""
    if not _has_view(con, dataset, "inventory"):
        return 0
    row = con.execute(f"select count(*) from {quote(dataset)}.inventory where state <> 'present'").fetchone()
    return int(row[0]) if row else 0


def _has_view(con: Connection, schema: str, view: str) -> bool:
    known = "select 1 from duckdb_views() where schema_name = ? and view_name = ?"
    return con.execute(known, [schema, view]).fetchone() is not None


def _some(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def _refuse_lists(rows: pa.Table, name: str, columns: Sequence[str]) -> None:
    remedies = {"sample_id": "give one id in each row"}
    for column in columns:
        remedy = remedies.get(column, "choose one, such as tags[1], or unnest it")
        kind = rows.schema.field(column).type
        if pa.types.is_nested(kind):
            first = rows.slice(0, 1)["sample_id"].to_pylist()
            where = f", for example in the row of sample {first[0]}" if first and column != "sample_id" else ""
            raise LabelError(f"{name}: {column} contains lists or structs ({kind}){where}; {remedy}")


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
            remedy = f"keep it in one class folder: {_some(places)}"
        raise LabelError(
            f"{declaration.name}: sample {ids[k]} has two labels, {labels[k - 1]!r} and {labels[k]!r}; {remedy}"
        )


def label_files(declaration: ClassifierDeclaration, tables: Tables) -> str | None:
    """12 hex digits that change when a file that the labels are read from does; None if they come from tables alone."""
    query = declaration.labels.from_sql
    return None if query is None else files_mark(tables, project_root(), query)


def labels_digest(labels: pa.Table) -> str:
    """12 hex digits that change whenever a label, its weight, group or split does. Rows are in the order of ``read_labels``."""
    digest = hashlib.sha256()
    for column in ("sample_id", "label", "labels", "value", "weight", "given_group", "given_split"):
        if column in labels.column_names:
            digest.update(json.dumps(labels[column].to_pylist()).encode())
    return digest.hexdigest()[:12]


def query_tables(sql: str) -> list[tuple[str, str]]:
    """The ``(schema, table)`` pairs that a query reads; the schema is ``main`` if none is given.

    Raises:
        LabelError: not SQL.
    """
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except sqlglot.errors.SqlglotError as error:
        raise LabelError(f"labels.from_sql is not SQL: {error}") from error
    named_inside = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    named = (
        table for table in tree.find_all(exp.Table) if table.name and "." not in table.name
    )  # 'labels.csv' is a file
    found = {(table.db or "main", table.name) for table in named}
    return sorted(pair for pair in found if pair[0] != "main" or pair[1] not in named_inside)
