"""The Parquet files of the store: how rows and queries are encoded.

Belongs here: compression, row groups, footers, types that Parquet lacks. Does not belong here: where files are and how they
are replaced (``tables.py``), how such types are carried (``stored_types.py``).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from resources.errors import ArotError
from resources.storage.objects import StorageError
from resources.tables.stored_types import TYPES, WIDE, carrier, cast_list, is_held, is_named, query_columns

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

FOOTER_PREFIX = b"arot."
WRITTEN = b"arot-written"
"""Key of ``WrittenAs`` (JSON), beside our strings."""
DESCRIPTIONS = "descriptions"
"""The footer's string: JSON of column -> description, for files whose fields carry none."""
COMPRESSION = "zstd"
GROUP_BYTES = 4_000_000
"""Bytes of rows that are encoded at a time: encoding a vector takes 15 times its size."""
LOOKED_AT = 10_000
"""Rows that are examined to tell whether the values of a column repeat."""


class TablesError(ArotError):
    """A table that cannot be read or written; the message names it, the cause and the remedy."""


class WrittenAs(NamedTuple):
    """What a file says of itself, so that one that was exchanged, or that somebody else wrote, is told from it.

    Attributes:
        path: where it was put, below the store.
        rows: its number of rows; -1 if it was not known in advance.
    """

    path: str
    rows: int = -1

    @classmethod
    def of(cls, metadata: Mapping[bytes, bytes] | None) -> "WrittenAs | None":
        """What the metadata of a file say; None for files of earlier versions."""
        said = (metadata or {}).get(WRITTEN)
        return None if said is None else cls(*json.loads(said))


def with_footer(table: "pa.Table", footer: Mapping[str, str], written: WrittenAs | None = None) -> "pa.Table":
    """A table with strings for the footer of its file."""
    ours = {FOOTER_PREFIX + k.encode(): v.encode() for k, v in footer.items()}
    theirs = {k: v for k, v in (table.schema.metadata or {}).items() if k != WRITTEN}
    own = {} if written is None else {WRITTEN: json.dumps(written).encode()}
    return table.replace_schema_metadata({**theirs, **ours, **own})


def footer_strings(metadata: Mapping[bytes, bytes] | None) -> dict[str, str]:
    """Our strings among the metadata of a file."""
    return {
        key.removeprefix(FOOTER_PREFIX).decode(): value.decode()
        for key, value in (metadata or {}).items()
        if key.startswith(FOOTER_PREFIX)
    }


def write_rows(table: "pa.Table", sink: Any) -> None:
    """Encode a table into a path or an Arrow stream."""
    import pyarrow.parquet as pq

    rows = max(1, GROUP_BYTES * table.num_rows // max(table.nbytes, 1))
    how = _compression(table.schema)
    repetitive = _repetitive(table)
    pq.write_table(
        table, sink, compression=how, use_dictionary=repetitive, row_group_size=rows, write_page_checksum=True
    )


def write_batches(
    batches: "Iterable[pa.RecordBatch]", schema: "pa.Schema", footer: Mapping[str, str], path: Path, written: WrittenAs
) -> None:
    """Encode rows as they come into a file; each batch is encoded by itself, and its first one tells which columns repeat."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rest = iter(batches)
    first = next(rest, None)
    start = pa.Table.from_batches([first] if first is not None else [], schema=schema)
    whole = with_footer(schema.empty_table(), footer, written).schema
    options: dict[str, Any] = {"compression": _compression(schema), "use_dictionary": _repetitive(start)}
    with pq.ParquetWriter(path, whole, **options, write_page_checksum=True) as writer:
        writer.write_table(start.replace_schema_metadata(whole.metadata))
        for batch in rest:
            writer.write_batch(batch.replace_schema_metadata(whole.metadata))


def rows_where(file: "pq.ParquetFile", columns: Sequence[str], column: str, value: str) -> "pa.Table":
    """Columns of the rows with this text in a column, from the row groups that may have it by their statistics; a column that the
    file does not have is left out."""
    import pyarrow.compute as pc

    number = next(n for n in range(len(file.schema)) if file.schema.column(n).path == column)
    groups = []
    for group in range(file.metadata.num_row_groups):
        known = file.metadata.row_group(group).column(number).statistics
        if known is None or not known.has_min_max or known.min <= value <= known.max:
            groups.append(group)
    rows = file.read_row_groups(groups, columns=list(dict.fromkeys([*columns, column])))
    found = rows.filter(pc.equal(rows[column], value))
    return found if column in columns else found.drop_columns(column)


class QueryFile:
    """The rows of a query, to be written into a file.

    Args:
        con: a connection on which ``sql`` runs.
        sql: one SELECT.
        footer: strings for the file's footer.
        descriptions: column name -> text, for the footer.
        written: what the file says of itself.

    Raises:
        TablesError: a column has fields without names.
        duckdb.Error: the query is not valid.
    """

    def __init__(
        self,
        con: "duckdb.DuckDBPyConnection",
        sql: str,
        footer: Mapping[str, str],
        descriptions: Mapping[str, str],
        written: WrittenAs,
    ) -> None:
        self._con = con
        self._sql = sql
        self._strings = {**footer, DESCRIPTIONS: json.dumps(dict(descriptions))}
        self._written = written
        self._kinds = query_columns(con, sql)
        if unnamed := [name for name, kind in self._kinds.items() if not is_named(kind)]:
            raise TablesError(
                f"column '{unnamed[0]}' has fields without names, which a table cannot hold; name them: {{'a': 1, 'b': 2}}"
            )

    def write(self, path: Path, uri: str) -> int:
        """Write the file, streamed (memory does not grow with the rows); returns the number of rows.

        Args:
            path: where to.
            uri: the table's address, for errors.

        Raises:
            StorageError: no space, no permission, a read-only store.
            TablesError: a column is of a type that Parquet cannot hold.
            duckdb.Error: the query fails.
        """
        import pyarrow.parquet as pq

        self._copy(path, uri, WIDE)
        return int(pq.read_metadata(path).num_rows)  # COPY of a PIVOT returns no count

    def _copy(self, path: Path, uri: str, wide: str) -> None:
        import duckdb

        carriers = {name: carrier(kind, wide) for name, kind in self._kinds.items()}
        other = {n: c for n, c in carriers.items() if c != str(self._kinds[n])}
        noted = {n: str(self._kinds[n]) for n in other}
        strings = {**self._strings, TYPES: json.dumps(noted)}
        pairs = ", ".join(f'"{FOOTER_PREFIX.decode()}{k}": {_literal(v)}' for k, v in strings.items())
        pairs += f', "{WRITTEN.decode()}": {_literal(json.dumps(self._written))}'
        # there is no line break before the SQL, so the line numbers in DuckDB's errors are those of the query
        query = f"select {cast_list(other)} from ({self._sql}\n)" if other else self._sql
        try:
            self._con.execute(
                f"copy ({query}\n) to {_literal(str(path))} "
                f"(format parquet, compression {COMPRESSION}, use_tmp_file false, kv_metadata {{{pairs}}})"
            )
        except duckdb.ConversionException:
            if wide != WIDE or not any(WIDE in c for c in other.values()):
                raise
            return self._copy(path, uri, "VARCHAR")
        except duckdb.IOException as error:
            if str(path) not in str(error):
                raise  # an error of a file that the query reads
            raise StorageError(
                f"'{uri}' cannot be written: {error}; free some space, or check the permissions"
            ) from error
        return _read_back(self._con, path, self._kinds, noted)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _read_back(
    con: "duckdb.DuckDBPyConnection", path: Path, kinds: Mapping[str, Any], noted: Mapping[str, str]
) -> None:
    """Make sure that a file, cast back, has the types of the query.

    Raises:
        TablesError: a column has a different one.
    """
    query = f"describe select {cast_list(dict(noted))} from read_parquet({_literal(str(path))})"
    for name, kind, *_ in con.execute(query).fetchall():
        if kind != str(kinds[name]) or not is_held(kinds[name]):
            raise TablesError(
                f"column '{name}' is of type {kinds[name]}, which Parquet cannot hold; cast it, for example to VARCHAR"
            )


def _compression(schema: "pa.Schema") -> str | dict[str, str]:
    """The codec, or that of each leaf column: vectors of float16 are kept as they are, as they would lose a twelfth of their size
    and take half as long again to read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    plain = {
        field.name
        for field in schema
        if pa.types.is_fixed_size_list(field.type) and pa.types.is_float16(field.type.value_type)
    }
    if not plain:
        return COMPRESSION
    buffer = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), buffer)
    written = pq.ParquetFile(pa.BufferReader(buffer.getvalue())).schema
    paths = [written.column(n).path for n in range(len(written.names))]
    return {path: "none" if path.partition(".")[0] in plain else COMPRESSION for path in paths}


def _repetitive(table: "pa.Table") -> list[str]:
    """The columns whose values repeat: only these profit from dictionary encoding, which makes ids and scores larger and slower.

    Estimated from the first ``LOOKED_AT`` rows.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    names = []
    for one, column in zip(table.schema, table.slice(0, LOOKED_AT).columns, strict=True):
        path, kind, values = one.name, one.type, column
        if pa.types.is_list(kind):
            path, kind, values = f"{path}.list.element", kind.value_type, pc.list_flatten(column)
        text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_binary(kind)
        whole = pa.types.is_integer(kind) or pa.types.is_temporal(kind)
        if (text or whole) and 2 * pc.count_distinct(values, mode="all").as_py() <= len(values):
            names.append(path)
    return names
