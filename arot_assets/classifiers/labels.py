"""The label table: which sample belongs to which class, and who said so.

Belongs here: labels from folder names or from a user's query, checked; their digest.
Does not belong here: splits (``split.py``), joining labels with measurements (``inputs.py``).
"""

import hashlib
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.classifiers.declaration import ClassifierDeclaration
from resources.errors import ArotError
from resources.storage.hub.address import is_hub
from resources.warehouse.views import literal, quote

if TYPE_CHECKING:
    import duckdb

SCHEMA = pa.schema(
    [
        pa.field("sample_id", pa.string(), metadata={"description": "the sample"}),
        pa.field("label", pa.string(), metadata={"description": "its class"}),
        pa.field("source", pa.string(), metadata={"description": "where the label comes from: folder | sql"}),
    ]
)


class LabelError(ArotError):
    """Labels that cannot be used; the message says which, why and what to do."""


COMMIT = r"^(hf://[a-z]+/[^/@]+/[^/@]+)@[0-9a-f]{40}"
WITHOUT_COMMIT = r"\1"
"""Objects of the Hub are each named at the commit that first showed them so."""


def folder_query(dataset: str, root: str, depth: int) -> str:
    """SQL: the ``depth``-th folder below the source is the label; samples that lie less deep have none.

    Args:
        dataset: its ``samples`` view is read.
        root: the dataset's source, a prefix of every uri.
        depth: 1 is the first folder below ``root``.
    """
    prefix = root.rstrip("/") + "/"
    place = f"regexp_replace(uri, {literal(COMMIT)}, {literal(WITHOUT_COMMIT)})" if is_hub(root) else "uri"
    return f"""
        select sample_id, folders[{depth}] as label from (
            select sample_id, string_split(substr({place}, {len(prefix) + 1}), '/') as folders
            from {quote(dataset)}.samples where status = 'ok' and starts_with({place}, {literal(prefix)})
        ) where len(folders) > {depth}"""


def read_labels(con: "duckdb.DuckDBPyConnection", declaration: ClassifierDeclaration, root: str) -> pa.Table:
    """The labels as declared, one row a sample, in the order of the ids. Rows without a label are left out.

    Args:
        con: a connection with the catalogue's views.
        declaration: says where labels come from and which classes count.
        root: the dataset's source.

    Raises:
        LabelError: the query fails or lacks a column, a sample has two labels, a declared class has no sample, or there
            are fewer than two classes.
    """
    import duckdb

    wanted = declaration.labels
    depth = wanted.from_folder
    query = wanted.from_sql or folder_query(declaration.dataset, root, depth or 1)
    try:
        rows = con.sql(query.rstrip().rstrip(";")).to_arrow_table()
    except duckdb.Error as error:
        remedy = "run `arot run` first" if depth else "try the query with `arot sql`"
        raise LabelError(f"{declaration.name}: labels cannot be read: {error}; {remedy}") from error
    missing = {"sample_id", "label"} - set(rows.column_names)
    if missing:
        raise LabelError(
            f"{declaration.name}: labels.from_sql must return sample_id and label, {sorted(missing)} is missing"
        )
    rows = rows.select(["sample_id", "label"]).cast(pa.schema([("sample_id", pa.string()), ("label", pa.string())]))
    rows = rows.filter(pc.and_(pc.is_valid(rows["label"]), pc.is_valid(rows["sample_id"])))
    rows = (
        rows.group_by(["sample_id", "label"])
        .aggregate([])
        .sort_by([("sample_id", "ascending"), ("label", "ascending")])
    )
    _refuse_two_labels(rows, declaration.name)
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


def _refuse_two_labels(rows: pa.Table, name: str) -> None:
    ids = rows["sample_id"].to_pylist()
    labels = rows["label"].to_pylist()
    for k in range(1, len(ids)):
        if ids[k] == ids[k - 1]:
            raise LabelError(
                f"{name}: sample {ids[k]} has two labels, {labels[k - 1]!r} and {labels[k]!r}; "
                "make the query return one row for each sample"
            )


def labels_digest(labels: pa.Table) -> str:
    """12 hex digits that change when any label does. The rows are in the order of ``read_labels``."""
    pairs = zip(labels["sample_id"].to_pylist(), labels["label"].to_pylist(), strict=True)
    return hashlib.sha256("\n".join(f"{sample_id}\t{label}" for sample_id, label in pairs).encode()).hexdigest()[:12]


def query_tables(sql: str) -> list[tuple[str, str]]:
    """The ``(schema, table)`` pairs that a query reads; the schema is ``main`` where none is written.

    Raises:
        LabelError: not SQL.
    """
    import sqlglot
    from sqlglot import exp

    try:
        tree = sqlglot.parse_one(sql, dialect="duckdb")
    except sqlglot.errors.ParseError as error:
        raise LabelError(f"labels.from_sql is not SQL: {error}") from error
    named_inside = {cte.alias_or_name for cte in tree.find_all(exp.CTE)}
    found = {(table.db or "main", table.name) for table in tree.find_all(exp.Table) if table.name}
    return sorted(pair for pair in found if pair[0] != "main" or pair[1] not in named_inside)
