"""Tables as people hold them: pandas, Polars, Arrow, or plain lists of dictionaries.

Belongs here: turning one into the other. Does not belong here: files (``formats.py``).

pandas is no dependency of the package but of its extra ``notebook``; it is what a table is returned as unless another
library is asked for.
"""

import importlib.util
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from resources.storage.objects import StorageError

if TYPE_CHECKING:
    import pyarrow as pa

TABLES = ("pandas", "polars", "arrow")
"""What ``as_`` may say where a table is returned; the first is the default."""


def default_library() -> str:
    """``pandas``.

    Raises:
        StorageError: it is not installed.
    """
    require("pandas")
    return "pandas"


def require(library: str) -> None:
    """See that a library of the extra is there.

    Raises:
        StorageError: it is not; tells how to install it, and what works without.
    """
    if importlib.util.find_spec(library) is None:
        raise StorageError(
            f"this needs {library}, which is not installed; pip install 'arot[notebook]', or ask for as_='arrow'",
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
    """Whether this is a table of one of the libraries, or of another that hands its columns to Arrow (DuckDB's relations)."""
    return _is_pandas(data) or (hasattr(data, "__arrow_c_stream__") and hasattr(data, "columns"))


def as_arrow(data: Any, *, index: bool = True) -> "pa.Table":
    """Any table, or a list of dictionaries, or a dictionary of columns, as an Arrow table.

    Args:
        data: see above. A dictionary of a list that lacks a key has a null there.
        index: keep the index of a pandas table as pandas does; else only one that has a name becomes a column.

    Raises:
        StorageError: it is nothing of the kind, or a column holds values that fit no one type.
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
        if is_table(data):  # what Polars hands over has views, which pyarrow writes to no file
            return data.to_arrow() if hasattr(data, "to_arrow") else pa.table(data)
        if isinstance(data, Mapping):
            return _columns({str(k): _values(k, v) for k, v in data.items()})
        if isinstance(data, Sequence) and all(isinstance(row, Mapping) for row in data):
            keys = dict.fromkeys(key for row in data for key in row)
            return _columns({str(key): [row.get(key) for row in data] for key in keys})
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise StorageError(
            f"this {_name(data)} is no table: {error}; give each column one type", kind="format"
        ) from error
    raise StorageError(
        f"a {_name(data)} is no table; give a pandas, Polars or Arrow table, a list of dictionaries, or a dictionary of lists",
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

    A dictionary becomes a row for each key, a list a row for each element. Dictionaries inside become columns
    ``outer__inner``, to some depth; what lies deeper stays as it is.

    Args:
        data: a dictionary, a list of dictionaries or of plain values, or a table.
        key: name of the column that holds the keys of a dictionary.
        value: name of the column that holds what is no dictionary.
        separator: between the names of outer and inner keys.
        depth: so many levels of dictionaries are taken apart.
        as_: ``pandas`` (default), ``polars`` or ``arrow``.

    Raises:
        StorageError: a column holds values that fit no one type.
    """
    if is_table(data):
        return convert(as_arrow(data), as_ or default_library())
    if isinstance(data, Mapping):
        pairs: list[tuple[dict[str, Any], Any]] = [({key: k}, v) for k, v in data.items()]
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes):
        pairs = [({}, v) for v in data]
    else:
        raise StorageError(f"a {_name(data)} is no table; give a dictionary or a list", kind="format")
    rows = []
    for start, item in pairs:
        if item is None or isinstance(item, Mapping):
            rows.append(start | dict(_flat(item or {}, "", separator, depth)))
        else:
            rows.append(start | {value: item})
    nested = {name.split(separator)[0] for row in rows for name in row if separator in name}
    for row in rows:  # a dictionary that is missing in this row: its columns are null, and it needs none of its own
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
    """Columns of Python values as a table; a column that fits no one type is named."""
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
        raise StorageError(f"this dictionary is no table: '{name}' holds no list; give each key a list", kind="format")
    return list(values)


def _is_pandas(data: object) -> bool:
    return hasattr(data, "reset_index")


def _name(data: object) -> str:
    return type(data).__name__
