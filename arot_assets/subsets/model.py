"""What a SQL model is: a file, its configuration, what it reads. A seed is a model whose SQL reads a CSV file.

Belongs here: the plain data of one model, and how configurations are merged. Does not belong here: the project around
it (``project.py``), reading files (``load.py``).

Materializations: ``table`` and ``view`` are both stored as ``models/<name>.parquet`` (the store has no live views: only
files persist, and automation keeps them up to date); ``ephemeral`` models are inlined into the models that refer to
them and have no asset.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.subsets.compiled import CompiledSql
from arot_assets.subsets.table_docs import TableDocs

MATERIALIZATIONS = ("table", "view", "ephemeral")
SUBSET_TAG = "subset"
CONFIG_KEYS = ("materialized", "tags", "description", "meta", "enabled", "docs", "group", "access", "persist_docs")

Complain = Callable[[str, str], ProjectError]
"""Creates the error for a key and a message."""


@dataclass(frozen=True)
class ModelConfig:
    """How a model is built and shown.

    Attributes:
        materialized: table, view or ephemeral.
        tags: any words; ``subset`` makes it a subset with a waterfall.
        description: from ``config(description=…)``; schema.yml's own description takes precedence.
        meta: arbitrary; ``owner`` is shown in the UI.
        enabled: a disabled model does not exist.
    """

    materialized: str = "table"
    tags: tuple[str, ...] = ()
    description: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True

    @property
    def owners(self) -> list[str]:
        """The owners of the model: ``owner`` of ``meta``, one or several."""
        owner = self.meta.get("owner")
        return [str(o) for o in owner] if isinstance(owner, list) else [str(owner)] if owner else []

    def overlaid(self, values: Mapping[str, Any], complain: "Complain") -> "ModelConfig":
        """This configuration overridden by a more specific one: tags add up, meta is merged, the rest is replaced.

        Raises:
            ProjectError: created by ``complain`` from the key and a message: an unknown key or value.
        """
        for key in values:
            if key not in CONFIG_KEYS:
                raise complain(key, f"config '{key}' is not supported here.{did_you_mean(key, CONFIG_KEYS)}")
        enabled = values.get("enabled", self.enabled)
        if not isinstance(enabled, bool):
            raise complain("enabled", f"enabled must be true or false, not {enabled!r}")
        tags = values.get("tags", [])
        tags = [tags] if isinstance(tags, str) else list(tags)
        materialized = str(values.get("materialized", self.materialized))
        if materialized not in MATERIALIZATIONS:
            raise complain(
                "materialized",
                f"materialized='{materialized}' is not supported; use {', '.join(MATERIALIZATIONS)} "
                "(a table is rebuilt only when its inputs changed)",
            )
        return ModelConfig(
            materialized,
            tuple(dict.fromkeys([*self.tags, *map(str, tags)])),
            str(values.get("description", self.description)),
            {**self.meta, **(values.get("meta") or {})},
            enabled,
        )


@dataclass(frozen=True)
class Model:
    """One ``.sql`` file, or one ``.csv`` file of seeds.

    Attributes:
        name: the file's name without its extension.
        path: the file.
        text: the template; for a seed, the query that reads it (``seeds.py``).
        config: merged from dbt_project.yml, schema.yml and the template itself, of which the last takes precedence.
        docs: the entry in schema.yml, an empty entry if there is none.
        refs: models it reads, in order of appearance.
        sources: (source, table) it reads, in order of appearance.
    """

    name: str
    path: Path
    text: str
    config: ModelConfig
    docs: TableDocs
    refs: tuple[str, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()

    @property
    def is_subset(self) -> bool:
        """Whether it selects samples and therefore has a waterfall."""
        return SUBSET_TAG in self.config.tags

    def line_of(self, sql: str, line: int | None) -> int | None:
        """The line of the file that a line of its compiled SQL comes from; None if unknown."""
        return sql.origin(line) if line is not None and isinstance(sql, CompiledSql) else None

    @property
    def is_stored(self) -> bool:
        """Whether it has a table of its own; an ephemeral model has none."""
        return self.config.materialized != "ephemeral"

    @property
    def is_seed(self) -> bool:
        """Whether it is a CSV file of the project."""
        return self.path.suffix == ".csv"

    @property
    def description(self) -> str:
        """For users; empty if there is none."""
        return self.docs.description or self.config.description
