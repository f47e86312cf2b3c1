"""Tables of the usual libraries: pandas, Polars, Arrow, or plain lists of dictionaries.

Belongs here: converting one into another. Does not belong here: files (``formats.py``).

pandas is not a dependency of the package but of its ``notebook`` extra. Tables are returned as pandas tables unless
another library is requested.
"""

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resources.storage.objects import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("pandas", "polars", "arrow")
"""The values that ``as_`` accepts where a table is returned; the first is the default."""


def default_library() -> str:
    """``pandas``.

    Raises:
        StorageError: it is not installed.
    """
    require("pandas")
    return "pandas"


def require(library: str) -> None:
    """Check that a library of the extra is installed.

    Raises:
        StorageError: it is not; the message says how to install it, and what works without it.
    """
    if importlib.util.find_spec(library) is None:
        raise StorageError(
            f"this needs {library}, which is not installed; pip install 'arot[notebook]', or pass as_='arrow'",
            kind="format",
        )


def convert(table: "pa.Table", as_: str) -> Any:
    """An Arrow table as a table of another library.

    Args:
        table: any.
        as_: one of ``TABLES``.

    Raises:
        StorageError: that library is not installed.
    """
    if as_ == "arrow":
        return table
    require(as_)
    if as_ == "pandas":
        return table.to_pandas()
    import polars

    return polars.from_arrow(table)


def is_table(data: object) -> bool:
    """Whether this is a table of one of the libraries, or of another that exports its columns to Arrow (DuckDB's
    relations)."""
    return _is_pandas(data) or (hasattr(data, "__arrow_c_stream__") and hasattr(data, "columns"))


def as_arrow(data: Any, *, index: bool = True) -> "pa.Table":
    """Any table, or a list of dictionaries, or a dictionary of columns, as an Arrow table.

    Args:
        data: see above. Where a dictionary of the list lacks a key, the value is null.
        index: keep the index of a pandas table as pandas does; otherwise only a named index becomes a column.

    Raises:
        StorageError: it is none of these, or the values of a column have no common type.
    """
    import pyarrow as pa

    try:
        if isinstance(data, pa.Table):
            return data
        if _is_pandas(data):
            frame = data if data.ndim == 2 else data.to_frame()
            if index:
                return pa.table(frame)
            named = [name for name in frame.index.names if name is not None]
            return pa.Table.from_pandas(frame.reset_index(level=named) if named else frame, preserve_index=False)
        if is_table(data):  # Polars exports view types, which pyarrow cannot write to any file
            return data.to_arrow() if hasattr(data, "to_arrow") else pa.table(data)
        if isinstance(data, Mapping):
            return _columns({str(k): _values(k, v) for k, v in data.items()})
        if isinstance(data, Sequence) and all(isinstance(row, Mapping) for row in data):
            keys = dict.fromkeys(key for row in data for key in row)
            return _columns({str(key): [row.get(key) for row in data] for key in keys})
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise StorageError(
            f"this {_name(data)} is not a table: {error}; give each column one type", kind="format"
        ) from error
    raise StorageError(
        f"a {_name(data)} is not a table; pass a pandas, Polars or Arrow table, a list of dictionaries, or a dictionary of lists",
        kind="format",
    )


def to_df(
    data: Any,
    *,
    key: str = "DICT_KEY",
    value: str = "VALUE",
    separator: str = "__",
    depth: int = 2,
    as_: str | None = None,
) -> Any:
    """JSON-like data as a table.

    A dictionary becomes one row per key, a list one row per element. Nested dictionaries become columns
    ``outer__inner``, down to ``depth``; anything deeper is kept as it is.

    Args:
        data: a dictionary, a list of dictionaries or of plain values, or a table.
        key: name of the column that holds the keys of a dictionary.
        value: name of the column that holds the values that are not dictionaries.
        separator: between the names of outer and inner keys.
        depth: how many levels of dictionaries are flattened.
        as_: ``pandas`` (default), ``polars`` or ``arrow``.

    Raises:
        StorageError: the values of a column have no common type.
    """
    if is_table(data):
        return convert(as_arrow(data), as_ or default_library())
    if isinstance(data, Mapping):
        pairs: list[tuple[dict[str, Any], Any]] = [({key: k}, v) for k, v in data.items()]
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
        pairs = [({}, v) for v in data]
    else:
        raise StorageError(f"a {_name(data)} is not a table; pass a dictionary or a list", kind="format")
    rows = []
    for start, item in pairs:
        if item is None or isinstance(item, Mapping):
            rows.append(start | dict(_flat(item or {}, "", separator, depth)))
        else:
            rows.append(start | {value: item})
    nested = {name.split(separator)[0] for row in rows for name in row if separator in name}
    for row in rows:  # a dictionary that is missing in this row: its columns are null, and it gets no column itself
        for name in [n for n, v in row.items() if v is None and n in nested]:
            del row[name]
    return convert(as_arrow(rows), as_ or default_library())


def _flat(item: Mapping[str, Any], prefix: str, separator: str, depth: int) -> Iterator[tuple[str, Any]]:
    for name, inner in item.items():
        if isinstance(inner, Mapping) and inner and depth > 0:
            yield from _flat(inner, f"{prefix}{name}{separator}", separator, depth - 1)
        else:
            yield f"{prefix}{name}", inner


def _columns(columns: dict[str, list[Any]]) -> "pa.Table":
    """Columns of Python values as a table; the error names a column whose values have no common type."""
    import pyarrow as pa

    arrays = {}
    for name, values in columns.items():
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
            raise pa.ArrowInvalid(f"column '{name}': {error}") from error
    return pa.table(arrays)


def _values(name: Any, values: Any) -> list[Any]:
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise StorageError(
            f"this dictionary is not a table: '{name}' does not hold a list; pass a list for each key", kind="format"
        )
    return list(values)


def _is_pandas(data: object) -> bool:
    return hasattr(data, "reset_index")


def _name(data: object) -> str:
    return type(data).__name__
