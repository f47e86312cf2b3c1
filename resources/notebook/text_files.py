"""Values as text: JSON, JSON lines, YAML, TOML, plain text.

Belongs here: reading and writing them. Does not belong here: which extension means what (``formats.py``).
"""

import json
from collections.abc import Mapping
from typing import IO, Any

from resources.notebook.frames import as_arrow, convert, is_table
from resources.storage.objects import StorageError


def read_json(file: IO[bytes], as_: str) -> Any:
    """A JSON value; a list of dictionaries can be returned as a table."""
    value = json.loads(file.read())
    return value if as_ == "value" else convert(as_arrow(value), as_)


def write_json(data: Any, *, indent: int | None = 2) -> bytes:
    """JSON in UTF-8; a table becomes a list of dictionaries."""
    return (dump(as_arrow(data, index=False).to_pylist() if is_table(data) else data, indent) + "\n").encode()


def read_jsonl(file: IO[bytes], as_: str) -> Any:
    """A list with the value of each line; empty lines are skipped."""
    values = []
    for number, line in enumerate(file.read().decode("utf-8-sig").split("\n"), 1):
        if line.strip():
            try:
                values.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}: {error.msg} at column {error.colno}") from error
    return values if as_ == "values" else convert(as_arrow(values), as_)


def write_jsonl(data: Any) -> bytes:
    """One line per value, or per row of a table."""
    if is_table(data):
        data = as_arrow(data, index=False).to_pylist()
    if isinstance(data, str | bytes | Mapping):
        raise TypeError(f"a {type(data).__name__} cannot be written as lines; pass a list or a table")
    return "".join(dump(value) + "\n" for value in data).encode()


def read_text(file: IO[bytes], as_: str) -> Any:
    """UTF-8 text: its lines without line ends, or the whole text."""
    text = file.read().decode("utf-8-sig")
    if as_ == "text":
        return text
    lines = text.replace("\r\n", "\n").split("\n")
    return lines[:-1] if lines[-1] == "" else lines


def write_text(data: Any) -> bytes:
    """A text as it is, or lines, each of which gets a line end."""
    if isinstance(data, str):
        return data.encode()
    if isinstance(data, Mapping | bytes) or not all(isinstance(line, str) for line in data):
        raise TypeError("a text file holds a string or a list of strings")
    return "".join(f"{line}\n" for line in data).encode()


def read_yaml(file: IO[bytes], _as: str) -> Any:
    """A YAML document; only plain values can be constructed."""
    import yaml

    return yaml.safe_load(file)


def write_yaml(data: Any) -> bytes:
    """YAML with keys in their original order."""
    import yaml

    return yaml.safe_dump(_plain(data), allow_unicode=True, sort_keys=False).encode()


def read_toml(file: IO[bytes], _as: str) -> Any:
    """A TOML document."""
    import tomllib

    return tomllib.load(file)


def write_toml(data: Any) -> bytes:
    """TOML; it has no null."""
    try:
        import tomli_w
    except ImportError as error:
        raise StorageError("writing TOML needs tomli-w; pip install 'arot[notebook]'", kind="format") from error

    return tomli_w.dumps(_plain(data)).encode()


def dump(value: Any, indent: int | None = None) -> str:
    """JSON text; numpy values become numbers and lists, dates ISO 8601, paths strings.

    Raises:
        ValueError: NaN or infinity, which JSON cannot represent.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent, default=_plain_one)
    except ValueError as error:
        raise ValueError(f"{error}; use None for missing numbers") from error


def _plain_one(value: Any) -> Any:
    if hasattr(value, "tolist"):  # numpy arrays and scalars, tensors
        return value.tolist()
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if hasattr(value, "__fspath__"):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(
        f"a {type(value).__name__} cannot be written to a text file; convert it to numbers, strings, lists or dictionaries"
    )


def _plain(value: Any) -> Any:
    """The same value, made of types that YAML and TOML writers accept."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if value is None or isinstance(value, str | int | float | bytes) or hasattr(value, "isoformat"):
        return value.item() if hasattr(value, "item") else value
    return _plain_one(value)
