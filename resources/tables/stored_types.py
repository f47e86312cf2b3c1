"""How DuckDB's types survive the way into Parquet and back.

Belongs here: which type a column is written as, and whether reading it back restores the original.
Does not belong here: writing files (``tables.py``), the views that cast back (``resources.warehouse``).

DuckDB writes some types as others: HUGEINT as DOUBLE (rounded), INTERVAL rounded to milliseconds, TIMETZ without its offset,
ENUM as text, ARRAY as LIST. Such a column is written as a type that Parquet represents exactly, and its original type is
recorded in the file's footer; views cast it back.
"""

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

TYPES = "types"
"""The footer's string: JSON of column -> type, for columns that are cast back."""
AS_TEXT = ("bit", "bignum", "interval", "time with time zone", "time_ns", "enum")
OTHERWISE = ("timestamp_s", "timestamp_ms")
"""Written without loss, read back as TIMESTAMP."""
WIDE = "DECIMAL(38,0)"
"""What 128-bit integers are written as; as text if one of them has 39 digits."""


def query_columns(con: "DuckDBPyConnection", sql: str) -> dict[str, Any]:
    """Column -> type (``DuckDBPyType``) of the table that a query would make; no rows are computed.

    Raises:
        duckdb.Error: the query does not make a table.
    """
    con.execute(f"create or replace temp table arot_columns as from (\n{sql}\n) limit 0")
    try:
        made = con.table("arot_columns")
        return dict(zip(made.columns, made.types, strict=True))
    finally:
        con.execute("drop table if exists temp.arot_columns")


def carrier(kind: Any, wide: str = WIDE) -> str:
    """The type that a value of ``kind`` is written as; its own if Parquet can represent it.

    Args:
        kind: DuckDB's type.
        wide: for 128-bit integers.
    """
    if kind.id in ("hugeint", "uhugeint"):
        return wide
    if kind.id in AS_TEXT or str(kind) in ("BIGNUM", "TIME_NS"):
        return "VARCHAR"
    if kind.id in OTHERWISE:
        return "TIMESTAMP"
    if kind.id in ("list", "array"):
        return f"{carrier(dict(kind.children)['child'], wide)}[]"
    if kind.id == "struct":
        fields = [f"{_quoted(name)} {carrier(child, wide)}" for name, child in kind.children]
        return f"STRUCT({', '.join(fields)})"
    if kind.id == "map":
        key, value = (child for _, child in kind.children)
        return f"MAP({carrier(key, wide)}, {carrier(value, wide)})"
    return str(kind)


def is_held(kind: Any) -> bool:
    """Whether a view can cast a column back: the catalogue file cannot contain an ENUM inside another type."""
    if kind.id in ("list", "array", "struct", "map"):
        inner = [child for _, child in kind.children if not isinstance(child, int)]
        return all(child.id != "enum" and is_held(child) for child in inner)
    return True


def is_named(kind: Any) -> bool:
    """Whether all fields of all structs in a type have names: a table can hold no ``(1, 2)``."""
    if kind.id not in ("list", "array", "struct", "map"):
        return True
    inner = [(name, child) for name, child in kind.children if not isinstance(child, int)]
    return all((name or kind.id != "struct") and is_named(child) for name, child in inner)


def cast_list(columns: dict[str, str]) -> str:
    """``* replace (…)`` that casts columns to the given types; ``*`` for none."""
    casts = [f"{_quoted(name)}::{kind} as {_quoted(name)}" for name, kind in columns.items()]
    return f"* replace ({', '.join(casts)})" if casts else "*"


def noted_types(footer: dict[str, str]) -> dict[str, str]:
    """The types that a file's footer records."""
    noted: dict[str, str] = json.loads(footer.get(TYPES, "{}"))
    return noted


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
