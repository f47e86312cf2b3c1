"""Previews of data: what it is, how much of it there is, and its beginning.

Belongs here: describing values. Parquet and text files are previewed without being fetched whole.
"""

import html
import io
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from resources.notebook.formats import format_of, parse
from resources.notebook.frames import as_arrow, is_table
from resources.storage.objects import ObjectInfo

if TYPE_CHECKING:
    import pyarrow as pa

    from resources.storage.storage import Storage

HEAD_BYTES = 256 * 1024
"""Bytes of the beginning of a text file that are read."""
WIDE = 120
BY_LINE = {"CSV", "TSV", "JSON lines", "text"}


@dataclass(frozen=True)
class Peek:
    """A preview.

    Attributes:
        kind: e.g. ``table``, ``list``, ``image``.
        facts: name -> what is known, e.g. ``rows``, ``columns``, ``size``.
        head: the first rows as dictionaries, the first elements, the first keys with their values, or the value itself.
    """

    kind: str
    facts: dict[str, Any] = field(default_factory=dict)
    head: Any = None

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {_short(value)}" for name, value in self.facts.items())
        lines = [f"{self.kind}: {facts}" if facts else self.kind]
        if isinstance(self.head, dict):
            lines += [f"  {key}: {_short(value)}" for key, value in self.head.items()]
        elif isinstance(self.head, list):
            lines += [f"  {_short(value)}" for value in self.head]
        elif self.head is not None:
            lines.append(f"  {_short(self.head)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        if self.kind != "table":
            return f"<pre>{html.escape(repr(self))}</pre>"
        names = list(self.facts["columns"])
        titles = "".join(
            f"<th>{html.escape(n)}<br><small>{html.escape(self.facts['columns'][n])}</small></th>" for n in names
        )
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(_short(row[n]))}</td>" for n in names) + "</tr>" for row in self.head
        )
        count = self.facts.get("rows")
        said = f"{count:,} rows" if isinstance(count, int) else str(count)
        return f"<div>{said} x {len(names)} columns<table><tr>{titles}</tr>{rows}</table></div>"


def peek_value(data: Any, n: int) -> Peek:
    """A preview of a value in memory; shows ``n`` rows, elements or keys."""
    if is_table(data):
        table = as_arrow(data)
        return _table(table.slice(0, n), table.num_rows)
    if isinstance(data, Mapping):
        head = {key: data[key] for key in list(data)[:n]}
        return Peek("dictionary", {"keys": len(data)}, head)
    if isinstance(data, str | bytes):
        return Peek("text" if isinstance(data, str) else "bytes", {"length": len(data)}, data[: WIDE * n])
    if hasattr(data, "mode") and hasattr(data, "size"):
        facts = {"size": "{} x {} pixels".format(*data.size), "mode": data.mode, "format": data.format or "none"}
        return Peek("image", facts)
    if hasattr(data, "shape") and hasattr(data, "dtype"):
        return Peek("array", {"shape": list(data.shape), "dtype": str(data.dtype)}, data.reshape(-1)[:n].tolist())
    if isinstance(data, Sequence | Set):
        return Peek("list", {"length": len(data)}, list(data)[:n])
    return Peek(type(data).__name__, {}, data)


def peek_uri(storage: "Storage", uri: str, n: int, extension: str | None) -> Peek:
    """A preview of an object: its size, and its beginning, read according to its kind.

    Raises:
        StorageError: it is not there, or is not what its extension says.
    """
    info = storage.stat(uri)
    kind, packed = format_of(uri, extension)
    if kind.ranged:
        return _with_file(_parquet(storage, uri, n), info)
    if kind.name in BY_LINE and not packed and info.size > HEAD_BYTES:
        begun = storage.read_bytes(uri, 0, HEAD_BYTES)
        whole_lines = begun[: begun.rfind(b"\n") + 1] or begun
        seen = _parsed(whole_lines, uri, extension)
        some = peek_value(seen, n)
        guess = int(len(seen) * info.size / len(whole_lines))
        facts = {**some.facts, ("rows" if some.kind == "table" else "length"): f"about {guess:,}"}
        return _with_file(Peek(some.kind, facts, some.head), info)
    return _with_file(peek_value(_parsed(storage.read_bytes(uri), uri, extension), n), info)


def _parsed(data: bytes, uri: str, extension: str | None) -> Any:
    kind, _ = format_of(uri, extension)
    return parse(io.BytesIO(data), uri, extension, "arrow" if kind.kinds[0] == "pandas" else None, {})


def _parquet(storage: "Storage", uri: str, n: int) -> Peek:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from resources.storage.objects import StorageError

    with storage.open(uri) as file:
        try:
            opened = pq.ParquetFile(file)
            batch = next(opened.iter_batches(batch_size=max(n, 1)), None)
            schema = opened.schema_arrow
        except pa.ArrowException as error:
            raise StorageError(
                f"cannot read '{uri}' as Parquet: {error}; check that the file is complete", kind="format"
            ) from error
        head = pa.Table.from_batches([batch] if batch is not None else [], schema=schema).slice(0, n)
        return _table(head, opened.metadata.num_rows)


def _table(head: "pa.Table", rows: int) -> Peek:
    columns = {name: str(kind) for name, kind in zip(head.schema.names, head.schema.types, strict=True)}
    return Peek("table", {"rows": rows, "columns": columns}, head.to_pylist())


def _with_file(seen: Peek, info: ObjectInfo) -> Peek:
    return Peek(seen.kind, {**seen.facts, "bytes": info.size}, seen.head)


def _short(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, Mapping) and all(isinstance(v, str) for v in value.values()):
        text = ", ".join(f"{k}: {v}" for k, v in value.items())
    else:
        text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= WIDE else text[: WIDE - 1] + "…"
