"""Answers with fields: a JSON schema becomes columns, and an answer is held to it.

Belongs here: columns of a schema, and reading an answer. Does not belong here: asking.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from arot_assets.columns import Column
from arot_assets.errors import ProjectError
from arot_assets.names import NAME

_TYPES = {"string": pa.string(), "integer": pa.int64(), "number": pa.float64(), "boolean": pa.bool_()}
_FENCE = re.compile(r"\A\s*```[a-zA-Z]*\s*\n(.*?)\n?\s*```\s*\Z", re.DOTALL)


class FieldsError(ProjectError):
    """A JSON schema that cannot be the columns of a table."""


class InvalidAnswerError(Exception):
    """An answer that does not follow its schema; the message says how."""


def field_columns(schema: Mapping[str, Any], taken: tuple[str, ...]) -> tuple[Column, ...]:
    """The columns of an object's properties: text, integers, numbers, booleans, lists of these; anything else as JSON text.

    Args:
        schema: a JSON schema.
        taken: names that the table has already.

    Raises:
        FieldsError: it is no schema of an object, or a property's name cannot be that of a column.
    """
    import jsonschema

    try:
        jsonschema.Draft202012Validator.check_schema(dict(schema))
    except jsonschema.SchemaError as error:
        raise FieldsError(f"no JSON schema: {error.json_path}: {error.message}") from error
    properties = schema.get("properties")
    if schema.get("type") != "object" or not isinstance(properties, dict) or not properties:
        raise FieldsError("a JSON schema of answers has `type: object` and `properties`, which become the columns")
    columns = []
    for name, what in properties.items():
        if not NAME.fullmatch(name) or name in taken:
            raise FieldsError(
                f"properties.{name}: choose another name; a column is in lower case, and not {', '.join(taken)}"
            )
        columns.append(Column(name, _type(what), str(what.get("description") or f"`{name}` of the answer")))
    return tuple(columns)


def read_fields(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of an answer, as its columns take them. A fence of Markdown around the JSON is taken off.

    Raises:
        InvalidAnswerError: it is not JSON, or does not follow the schema.
    """
    import jsonschema

    fenced = _FENCE.match(text)
    try:
        found = json.loads(fenced[1] if fenced else text)
    except ValueError as error:
        raise InvalidAnswerError(f"not JSON: {error}") from error
    for fault in jsonschema.Draft202012Validator(dict(schema)).iter_errors(found):
        raise InvalidAnswerError(f"{fault.json_path}: {fault.message[:160]}")
    properties = schema["properties"]
    return {name: _value(found.get(name), _type(what)) for name, what in properties.items()}


def _type(what: Mapping[str, Any]) -> pa.DataType:
    kind = what.get("type")
    if isinstance(kind, str) and kind in _TYPES:
        return _TYPES[kind]
    items = what.get("items")
    if kind == "array" and isinstance(items, dict) and items.get("type") in _TYPES:
        return pa.list_(_TYPES[items["type"]])
    return pa.string()


def _value(value: Any, kind: pa.DataType) -> Any:
    if value is None or (isinstance(value, str) and pa.types.is_string(kind)):
        return value
    if pa.types.is_string(kind):
        return json.dumps(value, ensure_ascii=False)
    return int(value) if pa.types.is_int64(kind) else value  # JSON Schema takes 2.0 for an integer
