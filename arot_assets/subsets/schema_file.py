"""schema.yml: declarations of models, seeds and sources.

Belongs here: which kinds of entries a properties file has, and rejecting what this runner does not support. Does not
belong here: an entry (``table_docs.py``, ``source_tables.py``), whether a model of that name exists (``load.py``).

The same files are read by real dbt. What dbt would act on but this runner would not (contracts, versions, unit tests)
is an error, so that nothing seems to be checked that is not. What only documents (exposures, groups) is ignored.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arot_assets.subsets.faults import Faults
from arot_assets.subsets.model import CONFIG_KEYS
from arot_assets.subsets.seeds import SEED_CONFIG_KEYS
from arot_assets.subsets.source_tables import SourceTable, source_tables
from arot_assets.subsets.table_docs import Render, TableDocs, entry_name, table_docs
from arot_assets.yaml_lines import Where, YamlFile, read_yaml, rendered

LATER = ("data_tests", "tests", "description")
"""Keys below which no text is rendered with the rest of the file: arguments of tests are rendered when the test
runs."""
UNSUPPORTED_KEYS = ("unit_tests", "snapshots", "semantic_models", "metrics", "saved_queries")
FILE_KEYS = (
    *("version", "models", "seeds", "sources", "exposures", "groups", "macros", "analyses", "data_tests"),
    *UNSUPPORTED_KEYS,
)
SEED_KEYS = ("name", "description", "config", "meta", "tags", "columns", "data_tests", "tests", "docs", "group")
MODEL_KEYS = (*SEED_KEYS, "access")


@dataclass
class SchemaDescriptions:
    """What a properties file describes, without what has faults.

    Attributes:
        models: the entries of models.
        seeds: the entries of seeds.
        sources: the tables of sources.
    """

    models: list[TableDocs] = field(default_factory=list)
    seeds: list[TableDocs] = field(default_factory=list)
    sources: list[SourceTable] = field(default_factory=list)


def read_schema_file(path: Path, render: Render, faults: Faults) -> SchemaDescriptions:
    """Read one properties file.

    Args:
        path: the file.
        render: renders ``{{ … }}``.
        faults: collects the faults of entries, by name: an unknown key, a wrong type, or something that this runner
            does not support.

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
    found = SchemaDescriptions()
    for kind, entries, keys, configs in (
        ("models", found.models, MODEL_KEYS, CONFIG_KEYS),
        ("seeds", found.seeds, SEED_KEYS, SEED_CONFIG_KEYS),
    ):
        for i, entry in enumerate(_entries(file, top, kind, faults)):
            where: Where = (kind, i)
            with faults.leaving_out(entry_name(file, entry, where)):
                filled = rendered(entry, where, fill)
                entries.append(table_docs(file, filled, where, keys, render, configs=configs))
    for i, entry in enumerate(_entries(file, top, "sources", faults)):
        found.sources += source_tables(file, entry, ("sources", i), render, fill, faults)
    return found


def _entries(file: YamlFile, top: dict[str, Any], key: str, faults: Faults) -> list[Any]:
    with faults.leaving_out(f"{file.path.name}: {key}"):
        return file.sequence(top.get(key), (key,))
    return []
