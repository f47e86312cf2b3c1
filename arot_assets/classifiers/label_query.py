"""Where labels come from: the names of folders, or a query of the user's.

Belongs here: these queries, running them, which tables and files they read. Does not belong here: what the rows mean
(``labels.py``).
"""

from collections.abc import Sequence

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

MOST_NAMED = 5
"""Samples that an error message names."""
COMMIT = r"^(hf://[a-z]+/[^/@]+/[^/@]+)@[0-9a-f]{40}"
WITHOUT_COMMIT = r"\1"
"""Objects on the Hub are each named at the commit in which they first appeared."""


class LabelError(ArotError):
    """Labels that cannot be used; the message says which, why and what to do."""


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


def query_labels(con: Connection, declaration: ClassifierDeclaration, root: str) -> pa.Table:
    """What the query returns: ``sample_id`` as text, and the columns that mean something here.

    Raises:
        LabelError: the query fails, or lacks a column.
    """
    import duckdb

    depth = declaration.labels.from_folder
    query = declaration.labels.query or folder_query(declaration.dataset, root, depth or 1)
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
    refuse_lists(rows, declaration.name, ("sample_id",))
    rows = rows.select([c for c in ("sample_id", wanted, "weight", "group_id", "split") if c in rows.column_names])
    rows = rows.set_column(0, "sample_id", rows["sample_id"].cast(pa.string()))
    return rows.filter(pc.is_valid(rows["sample_id"]))


def query_pairs(con: Connection, declaration: ClassifierDeclaration) -> dict[str, list[str]]:
    """What people preferred in the pairs and rankings of ``labels.pairs``: sample -> those that it was preferred to, each
    as often as it was. Ties say nothing.

    Raises:
        LabelError: there are no such ratings, or none of them compares.
    """
    import duckdb

    name, of = declaration.name, declaration.labels.pairs or ""
    try:
        rows = con.execute(
            f"select samples, ranks from ratings.{quote(of)} where status = 'ok' and kind in ('pair', 'ranking') "
            "order by event_id"
        ).fetchall()
    except duckdb.Error as error:
        said = str(error).split("\n\nLINE ")[0]
        raise LabelError(f"{name}: the ratings '{of}' cannot be read: {said}; run `arot run` first") from error
    found: dict[str, list[str]] = {}
    for samples, ranks in rows:
        for one, rank in zip(samples, ranks, strict=True):
            worse = [other for other, below in zip(samples, ranks, strict=True) if rank < below]
            if worse:
                found.setdefault(str(one), []).extend(map(str, worse))
    if not found:
        raise LabelError(
            f"{name}: nobody preferred one sample to another in the ratings '{of}'; learn from values instead"
        )
    return {sample: sorted(others) for sample, others in found.items()}


def refuse_lists(rows: pa.Table, name: str, columns: Sequence[str]) -> None:
    """Require columns of single values.

    Raises:
        LabelError: one of these columns has several values in a row.
    """
    remedies = {"sample_id": "give one id in each row"}
    for column in columns:
        remedy = remedies.get(column, "choose one, such as tags[1], or unnest it")
        kind = rows.schema.field(column).type
        if pa.types.is_nested(kind):
            first = rows.slice(0, 1)["sample_id"].to_pylist()
            where = f", for example in the row of sample {first[0]}" if first and column != "sample_id" else ""
            raise LabelError(f"{name}: {column} contains lists or structs ({kind}){where}; {remedy}")


def some(names: Sequence[str]) -> str:
    """The first few of some names, and how many more there are."""
    more = f" and {len(names) - MOST_NAMED:,} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more


def label_files(declaration: ClassifierDeclaration, tables: Tables) -> str | None:
    """12 hex digits that change when a file that the labels are read from does; None if they come from tables alone."""
    query = declaration.labels.query
    return None if query is None else files_mark(tables, project_root(), query)


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
