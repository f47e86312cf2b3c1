"""schema.yml: what people write about models, sources, columns and tests.

Belongs here: reading the properties files into plain data, and refusing what this runner would not honour.
Does not belong here: whether a model of that name exists (``project.py``), running a test (``tests.py``).

The same files are read by real dbt. What dbt would act on and this runner would not (contracts, versions, unit tests) is an
error, so that nothing is believed to be checked that is not. What only documents (exposures, groups) is passed over.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.yaml_lines import Where, YamlFile, read_yaml

Severity = Literal["error", "warn"]

FILE_KEYS = ("version", "models", "sources", "exposures", "groups", "macros", "data_tests")
MODEL_KEYS = (
    "name",
    "description",
    "config",
    "meta",
    "tags",
    "columns",
    "data_tests",
    "tests",
    "docs",
    "access",
    "group",
)
COLUMN_KEYS = ("name", "description", "data_type", "quote", "meta", "tags", "config", "data_tests", "tests")
SOURCE_KEYS = (
    "name",
    "description",
    "database",
    "schema",
    "tables",
    "meta",
    "tags",
    "config",
    "loader",
    "quoting",
    "freshness",
)
TABLE_KEYS = ("name", "description", "identifier", "columns", "data_tests", "tests", "meta", "tags", "config")
TEST_CONFIG_KEYS = ("severity", "where", "enabled", "tags", "meta")
TEST_KEYS = ("arguments", "config", "name", "description", "meta", "tags")
CONFIG_KEYS = ("materialized", "tags", "description", "meta", "enabled")


@dataclass(frozen=True)
class ColumnDoc:
    """What schema.yml says about a column."""

    name: str
    description: str


@dataclass(frozen=True)
class DataTest:
    """One data test as declared.

    Attributes:
        test: the generic test: not_null, unique, accepted_values, relationships, or a ``{% test %}`` of the project.
            Empty for a singular test.
        name: unique among the tests of its target.
        target: the model, or (source, table).
        column: the column it is about, None for a test of the whole table.
        arguments: what the test is given, as written.
        severity: ``error`` or ``warn``.
        where: a filter on the rows looked at, None for all.
        description: for people; empty if none was written.
        path: the file that declares it (for a singular test, the SQL itself).
        line: the line there.
    """

    test: str
    name: str
    target: str | tuple[str, str]
    column: str | None
    arguments: Mapping[str, Any]
    severity: Severity
    where: str | None
    description: str
    path: Path
    line: int


@dataclass(frozen=True)
class TableDocs:
    """What schema.yml says about a model or a source's table."""

    name: str
    path: Path
    line: int
    description: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, ColumnDoc] = field(default_factory=dict)
    tests: tuple[DataTest, ...] = ()


@dataclass(frozen=True)
class SourceTable:
    """A table that the project reads but does not make: ``{{ source(source, name) }}``.

    Attributes:
        source: the source's name: the dataset.
        name: the table's name within it.
        schema: the schema in DuckDB, the source's name unless given.
        identifier: the table's name in DuckDB, its name unless given.
        docs: descriptions and tests.
    """

    source: str
    name: str
    schema: str
    identifier: str
    docs: TableDocs


def read_schema_file(path: Path) -> tuple[list[TableDocs], list[SourceTable]]:
    """Read one properties file.

    Returns:
        What it says about models, and the source tables it declares.

    Raises:
        ProjectError: an unknown key, a wrong type, or something that this runner would not honour.
    """
    file = read_yaml(path)
    top = file.mapping(file.value, ())
    for key in top:
        if key in ("unit_tests", "snapshots", "seeds", "semantic_models", "metrics", "saved_queries"):
            raise file.error((key,), f"'{key}' of dbt are not supported here; remove them, or run this folder with dbt")
    file.mapping(top, (), FILE_KEYS)
    models = [
        _table_docs(file, entry, ("models", i), MODEL_KEYS, None)
        for i, entry in enumerate(file.sequence(top.get("models"), ("models",)))
    ]
    sources = [
        table
        for i, entry in enumerate(file.sequence(top.get("sources"), ("sources",)))
        for table in _source_tables(file, entry, ("sources", i))
    ]
    return models, sources


def _source_tables(file: YamlFile, entry: Any, where: Where) -> list[SourceTable]:
    source = file.mapping(entry, where, SOURCE_KEYS)
    name = file.text(source, "name", where)
    tables = []
    for i, item in enumerate(file.sequence(source.get("tables"), (*where, "tables"))):
        here = (*where, "tables", i)
        docs = _table_docs(file, item, here, TABLE_KEYS, name)
        identifier = file.text(item, "identifier", here, docs.name)
        tables.append(SourceTable(name, docs.name, file.text(source, "schema", where, name), identifier, docs))
    return tables


def _table_docs(file: YamlFile, entry: Any, where: Where, keys: tuple[str, ...], source: str | None) -> TableDocs:
    table = file.mapping(entry, where, keys)
    name = file.text(table, "name", where)
    target = name if source is None else (source, name)
    config = dict(file.mapping(table.get("config"), (*where, "config"), CONFIG_KEYS))
    for key in ("meta", "tags"):
        if key in table:
            config.setdefault(key, table[key])
    columns: dict[str, ColumnDoc] = {}
    tests = _tests(file, table, where, target, None)
    for i, item in enumerate(file.sequence(table.get("columns"), (*where, "columns"))):
        here = (*where, "columns", i)
        column = file.mapping(item, here, COLUMN_KEYS)
        column_name = file.text(column, "name", here)
        if column_name in columns:
            raise file.error(here, f"column '{column_name}' of '{name}' is described twice; keep one")
        columns[column_name] = ColumnDoc(column_name, _description(file, column, here))
        tests += _tests(file, column, here, target, column_name)
    named = _unique_names(tests)
    return TableDocs(
        name, file.path, file.lines[where], _description(file, table, where), config, columns, tuple(named)
    )


def _description(file: YamlFile, mapping: dict[str, Any], where: Where) -> str:
    text = file.text(mapping, "description", where, "")
    if "{{" in text:
        raise file.error((*where, "description"), "doc() in descriptions is not supported here; write the text itself")
    return " ".join(text.split())


def _tests(
    file: YamlFile, owner: dict[str, Any], where: Where, target: str | tuple[str, str], column: str | None
) -> list[DataTest]:
    found = []
    for key in ("data_tests", "tests"):
        for i, entry in enumerate(file.sequence(owner.get(key), (*where, key))):
            test = _test(file, entry, (*where, key, i), target, column)
            if test is not None:
                found.append(test)
    return found


def _test(
    file: YamlFile, entry: Any, where: Where, target: str | tuple[str, str], column: str | None
) -> DataTest | None:
    if isinstance(entry, str):
        entry = {entry: {}}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise file.error(
            where, "a data test is a name, or one name with its arguments below it ('- accepted_range: {…}')"
        )
    ((test, given),) = entry.items()
    given = dict(file.mapping(given, (*where, test)))
    arguments = {k: v for k, v in given.items() if k not in (*TEST_KEYS, *TEST_CONFIG_KEYS)}
    arguments |= file.mapping(given.get("arguments"), (*where, test, "arguments"))
    config = {k: given[k] for k in TEST_CONFIG_KEYS if k in given}
    for key, value in file.mapping(given.get("config"), (*where, test, "config")).items():
        if key not in TEST_CONFIG_KEYS:
            raise file.error(
                (*where, test, "config", key),
                f"test config '{key}' is not supported here.{did_you_mean(key, TEST_CONFIG_KEYS)}",
            )
        config[key] = value
    severity = str(config.get("severity", "error")).lower()
    if severity not in ("error", "warn"):
        raise file.error((*where, test), f"severity of '{test}' is '{severity}'; use error or warn")
    if config.get("enabled") is False:
        return None
    name = given.get("name") or (f"{test}_{column}" if column else str(test))
    line = file.lines.get((*where, test), file.lines[where])
    return DataTest(
        test=str(test),
        name=re.sub(r"\W+", "_", str(name)),
        target=target,
        column=column,
        arguments=arguments,
        severity="warn" if severity == "warn" else "error",
        where=config.get("where"),
        description=str(given.get("description", "")),
        path=file.path,
        line=line,
    )


def _unique_names(tests: list[DataTest]) -> list[DataTest]:
    """Tests of one name get their arguments into it, as dbt does."""
    from dataclasses import replace

    names = [t.name for t in tests]
    result: list[DataTest] = []
    for test in tests:
        name = test.name
        if names.count(name) > 1:
            given = " ".join(str(v) for v in [*test.arguments.values(), test.where or ""])
            words = re.sub(r"[\W_]+", "_", given).strip("_")
            name = f"{name}_{words}" if words else name
        if any(name == other.name for other in result):
            raise ProjectError(f"test '{name}' is declared twice; delete one or give it a 'name'", test.path, test.line)
        result.append(replace(test, name=name))
    return result
