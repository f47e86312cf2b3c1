"""`arot sql`: one query over the tables."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from resources.defaults import default_resources

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

SHOWN_ROWS = 100


@click.command(name="sql", short_help="ask the tables in SQL")
@click.argument("query", required=False)
@click.option("-f", "--file", "path", type=click.Path(exists=True, dir_okay=False), help="read the query from a file")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="how rows are written; parquet needs --out",
)
@click.option("--out", help="write to this URI instead of the terminal")
def command(query: str | None, path: str | None, output: str, out: str | None) -> None:
    """Ask the tables: QUERY is DuckDB SQL, each dataset is a schema.

    \b
    Tables:
      DATASET.inventory   every object seen at the source, present or gone
      DATASET.samples     one row for each object: identity, size, caption, tags, or why it failed
      DATASET.METRIC      one row for each ok sample
      DATASET.wide        samples with the columns of all metrics, as METRIC__COLUMN
      MODEL               SQL models of dbt_like_sql/

    \b
    Examples:
      arot sql "select status, reason, count(*) from demo.samples group by all"
      arot sql "select uri, brightness from demo.samples join demo.cv2 using (sample_id) order by 2 limit 5"
      arot sql "select * from clean" -o parquet --out clean.parquet
      arot sql "select count(*) from 's3://bucket/table.parquet'"
      arot sql "show all tables"
    """
    import duckdb

    if (query is None) == (path is None):
        raise click.UsageError("give a query, or a file with -f; not both")
    if output == "parquet" and not out:
        raise click.UsageError("parquet is not for a terminal: name a file with --out")
    text = query if query is not None else Path(str(path)).read_text(encoding="utf-8")
    resources = default_resources()
    with resources.warehouse.connect(text) as con:
        try:
            relation = con.sql(text)
        except duckdb.Error as error:
            raise click.ClickException(f"{error}") from error
        if relation is None:
            raise click.ClickException("that is no query: it gives no rows. The tables are read-only here")
        try:
            if out:
                rows = write(relation, output if output != "table" else Path(out).suffix.lstrip(".") or "csv", out)
                click.echo(f"{rows:,} rows written to {out}")
            elif output == "table":
                click.echo(_shown(relation))
            else:
                sys.stdout.buffer.write(encode(relation, output))
        except duckdb.Error as error:
            raise click.ClickException(f"{error}") from error


def write(relation: "duckdb.DuckDBPyRelation", kind: str, out: str) -> int:
    """Write a relation to a URI in one step; gives the number of rows."""
    storage = default_resources().storage
    table = relation.to_arrow_table()
    storage.write(str(Path(out).absolute()) if "://" not in out else out, encode_table(table, kind))
    return int(table.num_rows)


def encode(relation: "duckdb.DuckDBPyRelation", kind: str) -> bytes:
    """All rows of a relation as csv, json (one array) or parquet."""
    return encode_table(relation.to_arrow_table(), kind)


def encode_table(table: "pa.Table", kind: str) -> bytes:
    """Rows as csv, json (one array) or parquet.

    Raises:
        click.ClickException: any other kind.
    """
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    if kind == "parquet":
        pq.write_table(table, sink, compression="zstd")
    elif kind == "csv":
        import csv
        import io

        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(table.column_names)
        writer.writerows(zip(*(column.to_pylist() for column in table.columns), strict=True))
        return text.getvalue().encode()
    elif kind == "json":
        return (json.dumps(table.to_pylist(), default=str, ensure_ascii=False, indent=1) + "\n").encode()
    else:
        raise click.ClickException(f"cannot write '{kind}'; choose csv, json or parquet with -o")
    return bytes(sink.getvalue())


def _shown(relation: "duckdb.DuckDBPyRelation") -> str:
    """Rows as a table as wide as the terminal, at most ``SHOWN_ROWS`` of them."""
    import shutil

    from rich.console import Console
    from rich.table import Table

    rows = relation.fetchmany(SHOWN_ROWS + 1)
    console = Console(width=None if sys.stdout.isatty() else max(shutil.get_terminal_size().columns, 160))
    shown = Table(show_lines=False, header_style="bold")
    for name, kind in zip(relation.columns, relation.types, strict=True):
        number = str(kind) in (
            "BIGINT",
            "INTEGER",
            "SMALLINT",
            "FLOAT",
            "DOUBLE",
            "HUGEINT",
            "UBIGINT",
            "TINYINT",
            "DECIMAL",
        )
        shown.add_column(name, justify="right" if number else "left", overflow="fold")
    for row in rows[:SHOWN_ROWS]:
        shown.add_row(*(_cell(value) for value in row))
    with console.capture() as capture:
        console.print(shown)
    more = f"\nfirst {SHOWN_ROWS} rows; all of them with -o csv, json or parquet" if len(rows) > SHOWN_ROWS else ""
    return capture.get().rstrip("\n") + more


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    text = text if len(text) <= 200 else text[:200] + "…"
    return text.replace("[", "\\[")
