"""Seeds: CSV files of a project that become tables, with the rows and types that dbt-duckdb gives them.

Belongs here: the configuration of a seed, the types of its columns, the query that reads it. Does not belong here:
finding the files (``load.py``), building tables (``runner.py``), for which a seed is a model like any other.

The type of a column follows from all of its values, as in dbt: ``integer``, ``float8`` if there are decimals, ``date``
(``2026-01-31``), ``timestamp`` (``2026-01-31 12:00:00``, or ISO 8601 with a ``T``), ``boolean`` (``true``, ``false``),
else ``text``; an empty value or ``null`` fits every type. ``column_types`` overrides it. DuckDB then reads the file with
these types, as dbt-duckdb's ``COPY`` does: a value that its column's type cannot hold is an error.
"""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from io import StringIO
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.subsets.model import Complain, ModelConfig
from arot_assets.subsets.render import read_template

SEED_CONFIG_KEYS = (
    *("column_types", "delimiter", "quote_columns"),
    *("tags", "description", "meta", "enabled", "docs", "group", "persist_docs"),
)
"""``quote_columns`` changes nothing here: names are always quoted, so they may have spaces."""
NULLS = ("", "null")
CURRENCIES = "؋$ƒ៛¥₡₱£€¢﷼₪₩₭₮₦฿₤₫"
TEXT = "text"


@dataclass(frozen=True)
class SeedConfig:
    """How a seed is read and shown.

    Attributes:
        shared: what every model has.
        column_types: SQL types of columns, by name.
        delimiter: between the values of a line.
    """

    shared: ModelConfig = field(default_factory=ModelConfig)
    column_types: Mapping[str, str] = field(default_factory=dict)
    delimiter: str = ","

    def overlaid(self, values: Mapping[str, Any], complain: Complain) -> "SeedConfig":
        """This configuration overridden by a more specific one; types of columns add up.

        Raises:
            ProjectError: created by ``complain`` from the key and a message: an unknown key or value.
        """
        for key in values:
            if key not in SEED_CONFIG_KEYS:
                hint = did_you_mean(key, SEED_CONFIG_KEYS)
                raise complain(key, f"config '{key}' of a seed is not supported here.{hint}")
        types = values.get("column_types") or {}
        if not isinstance(types, Mapping) or not all(isinstance(kind, str) for kind in types.values()):
            raise complain(
                "column_types", f"column_types must be SQL types by column, as {{a: varchar}}, not {types!r}"
            )
        delimiter = values.get("delimiter", self.delimiter)
        if not isinstance(delimiter, str) or len(delimiter) != 1:
            raise complain("delimiter", f"delimiter must be one character, not {delimiter!r}")
        own = ("column_types", "delimiter", "quote_columns")
        shared = self.shared.overlaid({k: v for k, v in values.items() if k not in own}, complain)
        return replace(self, shared=shared, column_types={**self.column_types, **types}, delimiter=delimiter)


def seed_query(folder: Path, path: Path, config: SeedConfig, complain: Complain) -> str:
    """The query that reads a seed, as the template of a model.

    Args:
        folder: what relative paths in SQL are relative to.
        path: the CSV file.
        config: of the seed.
        complain: creates the error for a key of the configuration.

    Raises:
        ProjectError: the file has no usable header, or ``column_types`` names a column that it lacks.
    """
    names, rows = _read(path, config.delimiter)
    for column in config.column_types:
        if column not in names:
            hint = did_you_mean(column, names) or f" its columns: {', '.join(names)}"
            raise complain("column_types", f"column_types: seed '{path.stem}' has no column '{column}';{hint}")
    types = {
        name: config.column_types.get(name) or _type_of([row[i] for row in rows if i < len(row)])
        for i, name in enumerate(names)
    }
    columns = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in types.items())
    place = Path(os.path.relpath(path, folder)).as_posix()
    query = (
        f"select * from read_csv({_quoted(place)}, header = true, delim = {_quoted(config.delimiter)}, "
        f"columns = {{{columns}}})"
    )
    return "{% raw %}" + query + "{% endraw %}"


def _read(path: Path, delimiter: str) -> tuple[list[str], list[list[str]]]:
    """The names of the columns, and the rows.

    Raises:
        ProjectError: it is not CSV, or a column has no name of its own.
    """
    try:
        rows = list(csv.reader(StringIO(read_template(path)), delimiter=delimiter))
    except csv.Error as error:
        raise ProjectError(f"is not CSV: {error}", path) from error
    if not rows or not rows[0]:
        raise ProjectError("has no header; write the names of the columns into the first line", path, 1)
    names = rows[0]
    known: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name.strip() or name.lower() in known:
            what = f"has the name of another one, '{name}'" if name.strip() else "has no name"
            raise ProjectError(f"column {number} {what}; give each column a name of its own", path, 1)
        known.add(name.lower())
    return names, rows[1:]


def _type_of(values: Sequence[str]) -> str:
    """The SQL type that all values of a column have."""
    kinds = dict(_FITS)
    for value in values:
        text = value.strip()
        if text.lower() in NULLS:
            continue
        kinds = {kind: fits for kind, fits in kinds.items() if fits(text)}
        if not kinds:
            return TEXT
    first = next(iter(kinds))
    if first != "number":
        return first.split(" ")[0]
    return "float8" if any(_has_decimals(value) for value in values) else "integer"


def _number(text: str) -> Decimal | None:
    """A number as dbt understands it: with a percent sign, a currency and thousands separators."""
    bare = text.strip().strip("%").removeprefix("-")
    for symbol in CURRENCIES:
        bare = bare.strip(symbol)
    try:
        return Decimal(bare.replace(",", ""))
    except InvalidOperation:
        return None


def _has_decimals(value: str) -> bool:
    number = _number(value)
    if number is None or not number.is_finite():
        return False
    return int(number.normalize().as_tuple().exponent) < 0


def _as_format(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _is_iso(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return "T" in text


_FITS: Mapping[str, Callable[[str], bool]] = {
    "number": lambda text: _number(text) is not None,
    "date": lambda text: _as_format(text, "%Y-%m-%d"),
    "timestamp": lambda text: _as_format(text, "%Y-%m-%d %H:%M:%S"),
    "timestamp (ISO 8601)": _is_iso,
    "boolean": lambda text: text.replace(",", "").strip().lower() in ("true", "false"),
}
"""The types in order of preference, and whether a value has one."""


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
