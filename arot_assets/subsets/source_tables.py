"""Source tables in schema.yml: what a project reads but does not build.

Belongs here: reading the entries of sources into plain data. Does not belong here: the other entries of a file
(``schema_file.py``), whether the store has such a table (``runner.py``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from arot_assets.subsets.faults import Faults
from arot_assets.subsets.table_docs import Render, TableDocs, entry_name, table_docs
from arot_assets.yaml_lines import Where, YamlFile, rendered

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
SOURCE_CONFIG_KEYS = ("enabled", "meta", "tags", "freshness", "loaded_at_field")
EXTERNAL_LOCATION = "external_location"


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


def source_tables(
    file: YamlFile, entry: Any, where: Where, render: Render, fill: Callable[[str, Where], Any], faults: Faults
) -> list[SourceTable]:
    """The tables of one entry.

    Args:
        file: the file that contains it.
        entry: the entry.
        where: its path in the file.
        render: renders ``{{ … }}``, given file and line.
        fill: the same, given the path of the text in this file.
        faults: collects the faults of the source, of each table and of each test.
    """
    name = entry_name(file, entry, where)
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
            with faults.leaving_out(source_fault(name, entry_name(file, item, here))):
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
    docs = table_docs(file, item, where, TABLE_KEYS, render, source=name, faults=faults)
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
