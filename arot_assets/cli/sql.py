"""`arot sql`: one query over the tables."""

import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from arot_assets.errors import did_you_mean
from resources.defaults import default_resources
from resources.warehouse.views import quote

if TYPE_CHECKING:
    import duckdb

    from resources.warehouse import Connection

SHOWN_ROWS = 100
AS_TEXT = ("INTERVAL", "BIT", "BLOB", "UUID", "TIME WITH TIME ZONE")
"""Types that Arrow turns into something users would not recognize."""


@click.command(name="sql", short_help="query the tables in SQL")
@click.argument("query", required=False)
@click.option("-f", "--file", "path", type=click.Path(exists=True, dir_okay=False), help="read the query from a file")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "csv", "json", "parquet"]),
    default="table",
    show_default=True,
    help="output format; parquet needs --out",
)
@click.option("--out", help="write to this URI instead of the terminal")
def command(query: str | None, path: str | None, output: str, out: str | None) -> None:
    """Query the tables. QUERY is DuckDB SQL; each dataset is a schema.

    \b
    Tables:
      DATASET.inventory   every object seen at the source, present or gone
      DATASET.samples     one row per object: identity, size, caption, tags, or why it failed
      DATASET.METRIC      one row per ok sample
      DATASET.wide        samples with the columns of all metrics, as METRIC__COLUMN
      MODEL               SQL models in dbt_like_sql/

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
        raise click.UsageError("pass either a query or a file with -f")
    if output == "parquet" and not out:
        raise click.UsageError("parquet cannot be written to the terminal: set a file with --out")
    text = query if query is not None else Path(str(path)).read_text(encoding="utf-8")
    resources = default_resources()
    kind = (Path(out).suffix.lstrip(".") or "csv") if out and output == "table" else output

    def answer(raw: "duckdb.DuckDBPyConnection") -> tuple[int, bytes]:
        relation = raw.sql(text)
        if relation is None:
            raise click.ClickException(
                "not a query: it returns no rows. Write a SELECT; the tables are read-only here"
                if text.strip()
                else "the query is empty; `arot sql --help` shows examples"
            )
        if kind == "table":
            return 0, f"{_shown(relation)}\n".encode()
        return len(relation), encode(relation, kind)

    with resources.warehouse.connect(text) as con:
        try:
            rows, data = con.repeated(answer, text)
        except duckdb.Error as error:
            raise click.ClickException(_with_hint(con, text, error)) from error
    if out:
        resources.storage.write(str(Path(out).absolute()) if "://" not in out else out, data)
        click.echo(f"{rows:,} rows written to {out}")
    elif kind == "table":
        click.echo(data.decode(), nl=False)
        if re.fullmatch(r"\s*show\s+tables\s*;?\s*", text, re.IGNORECASE):
            click.echo(
                'these are the SQL models; `arot sql "show all tables"` lists the tables of datasets too', err=True
            )
    else:
        sys.stdout.buffer.write(data)


def _with_hint(con: "Connection", query: str, error: Exception) -> str:
    """DuckDB's error, with the table that was probably meant: DuckDB suggests none from other schemas."""
    text = str(error)
    missing = re.match(r'Catalog Error: Table with name "?([^"\s]+)"? does not exist', text)
    if missing is None:
        return text
    schemas = con.execute("select schema_name, view_name from duckdb_views() where not internal").fetchall()
    known = [view if schema == "main" else f"{schema}.{view}" for schema, view in schemas]
    asked = missing.group(1)
    written = re.search(rf'(\w+)"?\."?{re.escape(asked)}\b', query)  # DuckDB leaves out the schema
    asked = f"{written.group(1)}.{asked}" if written else asked
    near = did_you_mean(asked, known)
    if not near.startswith(" Did"):  # without its schema, or in another one
        same = [k for k in known if k.rpartition(".")[2] == asked.rpartition(".")[2]]
        near = f" Did you mean '{same[0]}'?" if same else near
    near = near if known else " Nothing is built yet: `arot run DATASET` builds the tables of a dataset."
    return f"no table '{asked}'.{near}" + (text[text.index("\n\nLINE") :] if "\n\nLINE" in text else "")


def encode(relation: "duckdb.DuckDBPyRelation", kind: str) -> bytes:
    """All rows of a relation as csv (lines end with LF), json (one array) or parquet (zstd).

    JSON has neither NaN nor infinity: they become null. Of several columns with the same name, the later ones get a number,
    as in DuckDB's tables (``a``, ``a_1``). Types that JSON and CSV cannot express (INTERVAL, BIT, BLOB) are DuckDB's text.

    Raises:
        click.ClickException: any other kind.
        duckdb.Error: the query does not run, or has a type that Parquet cannot hold.
    """
    import csv
    import io
    import json

    if kind == "parquet":
        from resources.scratch import WorkingFolder

        with WorkingFolder("rows") as folder:
            path = folder / "rows.parquet"
            _renamed(relation, _distinct(relation.columns)).write_parquet(str(path), compression="zstd")
            return path.read_bytes()
    names = _distinct(relation.columns) if kind == "json" else list(relation.columns)
    rows = _rows(_plain(relation))
    if kind == "csv":
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(rows)
        return text.getvalue().encode()
    if kind == "json":
        values = [dict(zip(names, map(_finite, row), strict=True)) for row in rows]
        return (json.dumps(values, default=str, ensure_ascii=False, indent=1, allow_nan=False) + "\n").encode()
    raise click.ClickException(f"cannot write '{kind}'; choose csv, json or parquet with -o")


def _rows(relation: "duckdb.DuckDBPyRelation") -> list[tuple[object, ...]]:
    return list(zip(*(column.to_pylist() for column in relation.to_arrow_table().columns), strict=True))


def _distinct(names: list[str]) -> list[str]:
    """Column names that are unique regardless of case: later ones get a number."""
    taken: set[str] = set()
    found = []
    for name in names:
        free, number = name, 0
        while free.lower() in taken:
            number += 1
            free = f"{name}_{number}"
        taken.add(free.lower())
        found.append(free)
    return found


def _renamed(relation: "duckdb.DuckDBPyRelation", names: list[str]) -> "duckdb.DuckDBPyRelation":
    return relation.query("arot_rows", f"select * from arot_rows as rows({', '.join(map(quote, names))})")


def _plain(relation: "duckdb.DuckDBPyRelation") -> "duckdb.DuckDBPyRelation":
    """The rows, with every value that has no Python type as text; the columns are numbered."""
    names = [quote(f"c{i}") for i in range(len(relation.columns))]
    shown = [f"{n}::varchar as {n}" if str(t) in AS_TEXT else n for n, t in zip(names, relation.types, strict=True)]
    return relation.query("arot_rows", f"select {', '.join(shown)} from arot_rows as rows({', '.join(names)})")


def _finite(value: object) -> object:
    """A value as JSON can express it, inside lists and structs too."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return value


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
    more = f"\nfirst {SHOWN_ROWS} rows; use -o csv, json or parquet for all of them" if len(rows) > SHOWN_ROWS else ""
    return capture.get().rstrip("\n") + more


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = str(value)
    text = text if len(text) <= 200 else text[:200] + "…"
    return text.replace("[", "\\[")
