"""Columns as the ``datasets`` library knows them: the types that it supports, and its description of them.

Belongs here: Arrow types -> plain Arrow types -> features, for file schemas (JSON) and for cards (YAML).
Does not belong here: which columns there are (``rows.py``).
"""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from arot_assets.exports.errors import ExportError
from arot_assets.media.medium import Medium

NAMES = {
    "halffloat": "float16",
    "float": "float32",
    "double": "float64",
    "date32[day]": "date32",
    "date64[ms]": "date64",
}
"""Arrow's names of types for which ``datasets`` has other names."""
FILE = pa.struct([pa.field("bytes", pa.binary()), pa.field("path", pa.string())])
"""How ``datasets`` stores an image or a video in a Parquet file."""
_LISTS = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
"""Every kind of list that a query can return; DuckDB's arrays have a fixed size."""


def plain_type(kind: pa.DataType, column: str) -> pa.DataType:
    """The nearest type that ``datasets`` supports and Parquet restores exactly.

    Raises:
        ExportError: there is none (maps, unions).
    """
    if pa.types.is_dictionary(kind):
        return plain_type(kind.value_type, column)
    if any(is_kind(kind) for is_kind in _LISTS):
        return pa.list_(plain_type(kind.value_type, column))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, plain_type(f.type, column)) for f in kind])
    if pa.types.is_nested(kind):
        raise ExportError(
            f"column '{column}' is a {kind}, which the datasets library does not support; turn it into text, a list or a struct "
            "in SQL, or name the other `columns`"
        )
    return kind


def feature(kind: pa.DataType) -> dict[str, Any]:
    """A plain type as ``datasets`` describes it in the metadata of a file."""
    if pa.types.is_list(kind):
        return {"feature": feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {f.name: feature(f.type) for f in kind}
    return {"dtype": NAMES.get(str(kind), str(kind)), "_type": "Value"}


def card_feature(kind: pa.DataType) -> dict[str, Any]:
    """A plain type as ``datasets`` describes it in a card, without the name of its column."""
    if pa.types.is_list(kind):
        inner = card_feature(kind.value_type)
        return {"list": next(iter(inner.values())) if list(inner) in (["dtype"], ["struct"]) else inner}
    if pa.types.is_struct(kind):
        return {"struct": [{"name": f.name, **card_feature(f.type)} for f in kind]}
    return {"dtype": NAMES.get(str(kind), str(kind))}


def type_name(kind: pa.DataType) -> str:
    """A plain type in a word or two, for people."""
    if pa.types.is_list(kind):
        return f"list<{type_name(kind.value_type)}>"
    if pa.types.is_struct(kind):
        return f"struct<{', '.join(f'{f.name}: {type_name(f.type)}' for f in kind)}>"
    return NAMES.get(str(kind), str(kind))


def file_schema(medium: Medium, schema: pa.Schema) -> pa.Schema:
    """The schema of a Parquet file: the original file first, then its values, and the metadata that ``datasets``
    reads."""
    whole = pa.schema([pa.field(medium.name, FILE), *schema])
    return whole.with_metadata(dict(_file_metadata(medium, schema)))


def card_features(medium: Medium, schema: pa.Schema) -> list[dict[str, Any]]:
    """The columns of ``file_schema`` as a card describes them."""
    first = {"name": medium.name, "dtype": medium.published.feature.lower()}
    return [first, *({"name": f.name, **card_feature(f.type)} for f in schema)]


def _file_metadata(medium: Medium, schema: pa.Schema) -> Mapping[str, str]:
    features = {medium.name: {"_type": medium.published.feature}, **{f.name: feature(f.type) for f in schema}}
    return {"huggingface": json.dumps({"info": {"features": features}})}
