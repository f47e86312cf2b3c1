"""The label table: which sample belongs to which class, and where the label comes from.

Belongs here: labels from folder names or from a user's query, checked; their digest.
Does not belong here: splits (``split.py``), joining labels with measurements (``inputs.py``).
"""

import hashlib

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.classifiers.declaration import ClassifierDeclaration
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
        pa.field("label", pa.string(), metadata={"description": "its class"}),
        pa.field("source", pa.string(), metadata={"description": "where the label comes from: folder | sql"}),
    ]
)


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
        declaration: where labels come from, and which classes count.
        root: the dataset's source.

    Raises:
        LabelError: the query fails or lacks a column, a sample has two labels, a declared class has no samples, or there
            are fewer than two classes.
    """
    import duckdb

    wanted = declaration.labels
    depth = wanted.from_folder
    query = wanted.from_sql or folder_query(declaration.dataset, root, depth or 1)
    read_from(con, project_root())
    try:
        rows = con.execute(query.rstrip().rstrip(";")).to_arrow_table()
    except duckdb.Error as error:
        remedy = "run `arot run` first" if depth else "try the query with `arot sql`"
        said = str(error).split("\n\nLINE ")[0]  # without the query that DuckDB repeats in its message
        raise LabelError(f"{declaration.name}: labels cannot be read: {said}; {remedy}") from error
    missing = {"sample_id", "label"} - set(rows.column_names)
    if missing:
        raise LabelError(
            f"{declaration.name}: labels.from_sql must return sample_id and label; {sorted(missing)} is missing"
        )
    _refuse_lists(rows, declaration.name)
    rows = rows.select(["sample_id", "label"]).cast(pa.schema([("sample_id", pa.string()), ("label", pa.string())]))
    rows = rows.filter(pc.and_(pc.is_valid(rows["label"]), pc.is_valid(rows["sample_id"])))
    rows = (
        rows.group_by(["sample_id", "label"])
        .aggregate([])
        .sort_by([("sample_id", "ascending"), ("label", "ascending")])
    )
    _refuse_two_labels(con, rows, declaration)
    unknown_samples(con, declaration, rows)
    found = sorted(pc.unique(rows["label"]).to_pylist())
    if wanted.classes is not None:
        absent = [name for name in wanted.classes if name not in found]
        if absent:
            raise LabelError(
                f"{declaration.name}: no sample is labelled {', '.join(absent)}; labels found: {', '.join(found) or 'none'}"
            )
        rows = rows.filter(pc.is_in(rows["label"], value_set=pa.array(wanted.classes, pa.string())))
    elif len(found) < 2:
        raise LabelError(
            f"{declaration.name}: a classifier needs two classes or more, found: {', '.join(found) or 'none'}"
        )
    source = pa.array(["folder" if depth else "sql"] * rows.num_rows, pa.string())
    return rows.append_column("source", source).cast(SCHEMA)


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


def _refuse_lists(rows: pa.Table, name: str) -> None:
    for column, remedy in (
        ("sample_id", "give one id in each row"),
        ("label", "choose one, such as tags[1], or unnest it"),
    ):
        kind = rows.schema.field(column).type
        if pa.types.is_nested(kind):
            first = rows.slice(0, 1)["sample_id"].to_pylist()
            where = f", for example in the row of sample {first[0]}" if first and column == "label" else ""
            raise LabelError(f"{name}: {column} contains lists or structs ({kind}){where}; {remedy}")


def _refuse_two_labels(con: Connection, rows: pa.Table, declaration: ClassifierDeclaration) -> None:
    ids = rows["sample_id"].to_pylist()
    labels = rows["label"].to_pylist()
    for k in range(1, len(ids)):
        if ids[k] == ids[k - 1]:
            remedy = "make the query return one row for each sample"
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
    """12 hex digits that change whenever a label does. The rows are in the order of ``read_labels``."""
    pairs = zip(labels["sample_id"].to_pylist(), labels["label"].to_pylist(), strict=True)
    return hashlib.sha256("\n".join(f"{sample_id}\t{label}" for sample_id, label in pairs).encode()).hexdigest()[:12]


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
