"""schema.yml: declarations of models, sources, columns and tests.

Belongs here: reading the properties files into plain data, and rejecting what this runner does not support. Does not
belong here: whether a model of that name exists (``project.py``), running a test (``tests.py``).

The same files are read by real dbt. What dbt would act on but this runner would not (contracts, versions, unit tests)
is an error, so that nothing seems to be checked that is not. What only documents (exposures, groups) is ignored.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError
from arot_assets.names import ascii_word
from arot_assets.subsets.data_test import TEST_CONFIG_KEYS, ConfigProblem, DataTest, TestConfig
from arot_assets.subsets.faults import Faults
from arot_assets.yaml_lines import Where, YamlFile, read_yaml, rendered

Render = Callable[[Path, int, str], Any]
"""The value of a text, given its file and line: ``Templates.value`` with the functions available in YAML."""
LATER = ("data_tests", "tests", "description")
"""Keys below which no text is rendered with the rest of the file: arguments of tests are rendered when the test
runs."""
UNSUPPORTED_KEYS = ("unit_tests", "snapshots", "seeds", "semantic_models", "metrics", "saved_queries")
FILE_KEYS = (
    *("version", "models", "sources", "exposures", "groups", "macros", "analyses", "data_tests"),
    *UNSUPPORTED_KEYS,
)
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
    "loaded_at_field",
)
TABLE_KEYS = (
    "name",
    "description",
    "identifier",
    "columns",
    "data_tests",
    "tests",
    "meta",
    "tags",
    "config",
    "loader",
    "quoting",
    "freshness",
    "loaded_at_field",
)
TEST_KEYS = ("arguments", "config", "name", "description", "test_name")
CONFIG_KEYS = ("materialized", "tags", "description", "meta", "enabled", "docs", "group", "access", "persist_docs")
SOURCE_CONFIG_KEYS = ("enabled", "meta", "tags", "freshness", "loaded_at_field")
EXTERNAL_LOCATION = "external_location"


@dataclass(frozen=True)
class ColumnDoc:
    """A column in schema.yml, and its line."""

    name: str
    description: str
    line: int


@dataclass(frozen=True)
class TableDocs:
    """A model or source table in schema.yml; its columns by their names in lower case, since SQL ignores case."""

    name: str
    path: Path
    line: int
    description: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, ColumnDoc] = field(default_factory=dict)
    tests: tuple[DataTest, ...] = ()


@dataclass(frozen=True)
class SourceTable:
    """A table that the project reads but does not build: ``{{ source(source, name) }}``.

    Attributes:
        source: the source's name: the dataset.
        name: the table's name within it.
        schema: the schema in DuckDB, by default the source's name.
        identifier: the table's name in DuckDB, by default its name.
        docs: descriptions and tests.
        location: SQL that replaces the table (``meta.external_location``), None for a table of the catalogue.
        enabled: a disabled table does not exist.
    """

    source: str
    name: str
    schema: str
    identifier: str
    docs: TableDocs
    location: str | None = None
    enabled: bool = True


def read_schema_file(path: Path, render: Render, faults: Faults) -> tuple[list[TableDocs], list[SourceTable]]:
    """Read one properties file.

    Args:
        path: the file.
        render: renders ``{{ … }}``.
        faults: collects the faults of entries, by name: an unknown key, a wrong type, or something that this runner
            does not support.

    Returns:
        The models it describes, and the source tables it declares, each without faults.

    Raises:
        ProjectError: the file as a whole cannot be read.
    """
    file = read_yaml(path)

    def fill(text: str, where: Where) -> Any:
        return text if any(key in LATER for key in where) else render(path, file.line(where), text)

    top = file.mapping(file.value, ())
    for key in top:
        with faults.leaving_out(f"{path.name}: {key}"):
            if key in UNSUPPORTED_KEYS:
                raise file.error(
                    (key,), f"dbt's '{key}' are not supported here; remove them, or run this folder with dbt"
                )
            file.mapping({key: top[key]}, (), FILE_KEYS)
    models: list[TableDocs] = []
    for i, entry in enumerate(_entries(file, top, "models", faults)):
        where: Where = ("models", i)
        with faults.leaving_out(_entry_name(file, entry, where)):
            models.append(_table_docs(file, rendered(entry, where, fill), where, MODEL_KEYS, None, render, None))
    sources: list[SourceTable] = []
    for i, entry in enumerate(_entries(file, top, "sources", faults)):
        sources += _source_tables(file, entry, ("sources", i), render, fill, faults)
    return models, sources


def _entries(file: YamlFile, top: dict[str, Any], key: str, faults: Faults) -> list[Any]:
    with faults.leaving_out(f"{file.path.name}: {key}"):
        return file.sequence(top.get(key), (key,))
    return []


def _entry_name(file: YamlFile, entry: Any, where: Where) -> str:
    """The name of an entry, for its faults; its position if it has none."""
    name = entry.get("name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else f"{file.path.name}:{file.line(where)}"


def _source_tables(
    file: YamlFile, entry: Any, where: Where, render: Render, fill: Callable[[str, Where], Any], faults: Faults
) -> list[SourceTable]:
    name = _entry_name(file, entry, where)
    with faults.leaving_out(source_fault(name)):
        own = {k: v for k, v in entry.items() if k != "tables"} if isinstance(entry, dict) else entry
        source = file.mapping(rendered(own, where, fill), where, SOURCE_KEYS)
        file.text(source, "name", where)
        shared = _source_config(file, source, where)
        schema = file.text(source, "schema", where, name)
        items = file.sequence(entry.get("tables"), (*where, "tables"))
        tables: list[SourceTable] = []
        for i, item in enumerate(items):
            here = (*where, "tables", i)
            with faults.leaving_out(source_fault(name, _entry_name(file, item, here))):
                filled = rendered(item, here, fill)
                tables.append(_source_table(file, filled, here, (name, schema), shared, render, faults))
        return tables
    return []


def source_fault(source: str, table: str | None = None) -> str:
    """The name of a source, or of one of its tables, among the faults."""
    return f"source {source}" if table is None else f"source {source}.{table}"


def _source_table(
    file: YamlFile,
    item: Any,
    where: Where,
    source: tuple[str, str],
    shared: dict[str, Any],
    render: Render,
    faults: Faults,
) -> SourceTable:
    """One table of a source, given the source's name and schema."""
    name, schema = source
    docs = _table_docs(file, item, where, TABLE_KEYS, name, render, faults)
    identifier = file.text(item, "identifier", where, docs.name)
    own = _source_config(file, item, where)
    config = {**shared, **own, "meta": {**shared["meta"], **own["meta"]}}
    location = _location(file, where, config["meta"], {"name": docs.name, "identifier": identifier, "schema": schema})
    return SourceTable(name, docs.name, schema, identifier, docs, location, config.get("enabled", True))


def _source_config(file: YamlFile, mapping: dict[str, Any], where: Where) -> dict[str, Any]:
    """``enabled``, if given, and ``meta``, either beside a source's or table's name or in its ``config``."""
    config = file.mapping(mapping.get("config"), (*where, "config"))
    for key in config:
        if key not in SOURCE_CONFIG_KEYS and key != EXTERNAL_LOCATION:
            raise file.error((*where, "config", key), f"config '{key}' of a source is not supported here")
    enabled = config.get("enabled")
    if enabled is not None and not isinstance(enabled, bool):
        raise file.error((*where, "config", "enabled"), f"enabled must be true or false, not {enabled!r}")
    meta = {
        **file.mapping(mapping.get("meta"), (*where, "meta")),
        **file.mapping(config.get("meta"), (*where, "config", "meta")),
        **{k: v for k, v in config.items() if k == EXTERNAL_LOCATION},
    }
    return {"meta": meta} if enabled is None else {"meta": meta, "enabled": enabled}


def _location(file: YamlFile, where: Where, meta: Mapping[str, Any], names: Mapping[str, str]) -> str | None:
    """The SQL of ``external_location``: a function call or a file name, with ``{name}`` and other keys of meta
    substituted."""
    text = meta.get(EXTERNAL_LOCATION)
    if text is None:
        return None
    if meta.get("formatter", "newstyle") != "newstyle":
        raise file.error(where, f"formatter '{meta['formatter']}' of external_location is not supported; use {{name}}")
    try:
        filled = str(text).format_map({**names, **meta})
    except (KeyError, ValueError, IndexError) as error:
        raise file.error(
            where, f"external_location '{text}' uses {error}; known: {', '.join([*names, *meta])}"
        ) from error
    return filled if "(" in filled or filled.startswith("'") else f"'{filled}'"


def _table_docs(
    file: YamlFile,
    entry: Any,
    where: Where,
    keys: tuple[str, ...],
    source: str | None,
    render: Render,
    faults: Faults | None,
) -> TableDocs:
    """The entry of a model, or of a table of ``source``.

    Args:
        file: the file that contains it.
        entry: the entry.
        where: its path in the file.
        keys: the keys it may have.
        source: the source's name, None for a model.
        render: renders ``{{ … }}``.
        faults: collects those of tests; None if a fault in a test is one of the whole entry.
    """
    table = file.mapping(entry, where, keys)
    name = file.text(table, "name", where)
    target = name if source is None else (source, name)
    known = CONFIG_KEYS if source is None else None
    config = dict(file.mapping(table.get("config"), (*where, "config"), known))
    for key in ("meta", "tags"):
        if key in table:
            config.setdefault(key, table[key])
    columns: dict[str, ColumnDoc] = {}
    tests = _tests(file, table, where, target, None, render, faults)
    for i, item in enumerate(file.sequence(table.get("columns"), (*where, "columns"))):
        here = (*where, "columns", i)
        column = file.mapping(item, here, COLUMN_KEYS)
        column_name = file.text(column, "name", here)
        if column_name.lower() in columns:
            raise file.error(here, f"column '{column_name}' of '{name}' is described twice; keep one")
        columns[column_name.lower()] = ColumnDoc(column_name, _description(file, column, here), file.line(here))
        found = _tests(file, column, here, target, column_name, render, faults)
        tests += [replace(t, quoted=bool(column.get("quote"))) for t in found]
    named = _unique_names([t for t in tests if t.config.enabled])
    return TableDocs(
        name, file.path, file.lines[where], _description(file, table, where), config, columns, tuple(named)
    )


def _description(file: YamlFile, mapping: dict[str, Any], where: Where) -> str:
    text = file.text(mapping, "description", where, "")
    if "{{" in text:
        raise file.error((*where, "description"), "doc() in descriptions is not supported here; write the text itself")
    return " ".join(text.split())


def _tests(
    file: YamlFile,
    owner: dict[str, Any],
    where: Where,
    target: str | tuple[str, str],
    column: str | None,
    render: Render,
    faults: Faults | None,
) -> list[DataTest]:
    tests: list[DataTest] = []
    for key in ("data_tests", "tests"):
        for i, entry in enumerate(file.sequence(owner.get(key), (*where, key))):
            here = (*where, key, i)
            if faults is None:
                tests.append(_test(file, entry, here, target, column, render))
                continue
            with faults.leaving_out(f"test in {file.path.name}:{file.line(here)}"):
                tests.append(_test(file, entry, here, target, column, render))
    return tests


def _test(
    file: YamlFile, entry: Any, where: Where, target: str | tuple[str, str], column: str | None, render: Render
) -> DataTest:
    if isinstance(entry, str):
        entry = {entry: {}}
    if isinstance(entry, dict) and "test_name" in entry:
        entry = {entry["test_name"]: {k: v for k, v in entry.items() if k != "test_name"}}
    if not isinstance(entry, dict) or len(entry) != 1:
        raise file.error(
            where, "a data test must be a name, or one name with its arguments below it ('- accepted_range: {…}')"
        )
    ((test, written),) = entry.items()
    below = (*where, test) if (*where, test) in file.lines else where
    written = dict(file.mapping(written, below))
    arguments = {k: v for k, v in written.items() if k not in (*TEST_KEYS, *TEST_CONFIG_KEYS)}
    arguments |= file.mapping(written.get("arguments"), (*below, "arguments"))

    def fill(text: str, place: Where) -> Any:
        return render(file.path, file.line(place), text)

    given = {k: rendered(written[k], (*below, k), fill) for k in TEST_CONFIG_KEYS if k in written}
    given |= rendered(file.mapping(written.get("config"), (*below, "config")), (*below, "config"), fill)
    try:
        config = TestConfig().overlaid(given)
    except ConfigProblem as error:
        raise file.error((*below, "config", error.key), str(error)) from error
    name = written.get("name") or (f"{test}_{column}" if column else str(test))
    return DataTest(
        test=str(test),
        name=ascii_word(str(name)),
        target=target,
        column=column,
        arguments=arguments,
        config=config,
        description=str(written.get("description", "")),
        path=file.path,
        line=file.line(below),
        given=given,
    )


def _unique_names(tests: list[DataTest]) -> list[DataTest]:
    """Several tests with the same name get their arguments appended to it, as in dbt."""
    names = [t.name for t in tests]
    result: list[DataTest] = []
    for test in tests:
        name = test.name
        if names.count(name) > 1:
            given = " ".join(str(v) for v in [*test.arguments.values(), test.config.where or ""])
            words = re.sub("_+", "_", ascii_word(given)).strip("_")
            name = f"{name}_{words}" if words else name
        if any(name == other.name for other in result):
            raise ProjectError(f"test '{name}' is declared twice; delete one, or set 'name'", test.path, test.line)
        result.append(replace(test, name=name))
    return result
