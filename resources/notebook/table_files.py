"""Tables as files: CSV, TSV, Parquet.

Belongs here: reading and writing them. Does not belong here: which extension means what (``formats.py``), tables of other
libraries (``frames.py``).
"""

import io
from collections.abc import Mapping, Sequence
from typing import IO, Any

from resources.notebook.frames import as_arrow, convert
from resources.notebook.text_files import dump
from resources.quotes import has_quotes


def read_csv(
    file: IO[bytes],
    as_: str,
    *,
    delimiter: str = ",",
    columns: Sequence[str] | None = None,
    types: Mapping[str, str] | None = None,
    quotes: bool = True,
) -> Any:
    """A table in UTF-8 with a header line; quoted values may span lines.

    Args:
        file: its bytes.
        as_: the library of the table.
        delimiter: between values.
        columns: only these, in this order.
        types: column -> Arrow's name of its type (``{"zip": "string"}`` keeps leading zeros); otherwise inferred from
            the values.
        quotes: whether values may be quoted; if not, a quote mark is an ordinary character and each line is a row.
    """
    import pyarrow as pa
    import pyarrow.csv as csv

    conversion = csv.ConvertOptions(
        include_columns=columns,
        column_types={name: pa.type_for_alias(kind) for name, kind in (types or {}).items()},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    parsing = csv.ParseOptions(delimiter=delimiter, quote_char='"' if quotes else False, newlines_in_values=quotes)
    table = csv.read_csv(file, parse_options=parsing, convert_options=conversion)
    odd = [field.name for field in table.schema if pa.types.is_binary(field.type) and field.name not in (types or {})]
    if odd:
        raise ValueError(f"column {odd[0]!r} is not in UTF-8; save the file as UTF-8")
    return convert(table, as_)


def read_tsv(
    file: IO[bytes], as_: str, *, columns: Sequence[str] | None = None, types: Mapping[str, str] | None = None
) -> Any:
    """The same with tabs. ``has_quotes`` detects whether it is quoted: most files are not."""
    data = file.read()
    lines = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", errors="replace", newline="")
    quotes = b'"' in data and has_quotes(lines)
    return read_csv(io.BytesIO(data), as_, delimiter="\t", columns=columns, types=types, quotes=quotes)


def write_csv(data: Any, *, delimiter: str = ",") -> bytes:
    """A header and one line per row; a pandas index is written if it has a name. Lists and dictionaries are written as
    JSON."""
    import pyarrow as pa
    import pyarrow.csv as csv

    table = as_arrow(data, index=False)
    for n, field in enumerate(table.schema):
        if pa.types.is_nested(field.type):
            texts: Any = [None if v is None else dump(v) for v in table.column(n).to_pylist()]
            table = table.set_column(n, field.name, pa.array(texts, pa.string()))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(n, field.name, table.column(n).cast(field.type.value_type))
    sink = io.BytesIO()
    csv.write_csv(table, sink, csv.WriteOptions(delimiter=delimiter, quoting_style="needed"))
    return sink.getvalue()


def write_tsv(data: Any) -> bytes:
    """The same with tabs."""
    return write_csv(data, delimiter="\t")


def read_parquet(
    file: IO[bytes], as_: str, *, columns: Sequence[str] | None = None, filters: Any = None, use_threads: bool = True
) -> Any:
    """A table, or some of its columns and rows; only those are fetched."""
    import pyarrow.parquet as pq

    chosen = None if columns is None else list(columns)
    return convert(pq.read_table(file, columns=chosen, filters=filters, use_threads=use_threads), as_)


def write_parquet(
    data: Any,
    *,
    compression: str = "zstd",
    row_group_size: int | None = None,
    use_content_defined_chunking: bool | dict[str, int] = False,
) -> bytes:
    """Parquet.

    Args:
        data: a table, a list of dictionaries, or a dictionary of lists.
        compression: as in pyarrow.
        row_group_size: rows per row group.
        use_content_defined_chunking: end pages where the content says so: stores that deduplicate chunks (such as the
            Hub's) then upload only what changed in a table. A dictionary sets pyarrow's sizes.
    """
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(
        as_arrow(data),
        sink,
        compression=compression,
        row_group_size=row_group_size,
        use_content_defined_chunking=use_content_defined_chunking,
    )
    return sink.getvalue()


def write_chunked_parquet(data: Any, **options: Any) -> bytes:
    """Parquet with content-defined chunking unless disabled."""
    return write_parquet(data, **{"use_content_defined_chunking": True, **options})
