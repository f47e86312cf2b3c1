"""What a SQL model is: a file, its configuration, what it reads.

Belongs here: the plain data of one model, and how configurations are laid over one another.
Does not belong here: the project around it (``project.py``), reading files (``load.py``).

Materializations: ``table`` and ``view`` are both stored as ``models/<name>.parquet`` (the store has no live views: a file is
what survives, and automation keeps it fresh); ``ephemeral`` is pasted into the models that ref it and has no asset.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arot_assets.errors import ProjectError, did_you_mean
from arot_assets.subsets.render import CompiledSql
from arot_assets.subsets.schema_file import CONFIG_KEYS, TableDocs

MATERIALIZATIONS = ("table", "view", "ephemeral")
SUBSET_TAG = "subset"

Complain = Callable[[str, str], ProjectError]
"""Makes the error for a key and a message."""


@dataclass(frozen=True)
class ModelConfig:
    """How a model is built and shown.

    Attributes:
        materialized: table, view or ephemeral.
        tags: free words; ``subset`` makes it a subset with a waterfall.
        description: from ``config(description=…)``; schema.yml's own description comes first.
        meta: free; ``owner`` is shown in the UI.
        enabled: a disabled model does not exist.
    """

    materialized: str = "table"
    tags: tuple[str, ...] = ()
    description: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    enabled: bool = True

    @property
    def owners(self) -> list[str]:
        """Who answers for the model: ``owner`` of ``meta``, one or several."""
        owner = self.meta.get("owner")
        return [str(o) for o in owner] if isinstance(owner, list) else [str(owner)] if owner else []

    def overlaid(self, values: Mapping[str, Any], complain: "Complain") -> "ModelConfig":
        """This configuration under a more specific one: tags add up, meta merges, the rest is replaced.

        Raises:
            ProjectError: made by ``complain`` of the key and a message: an unknown key or value.
        """
        for key in values:
            if key not in CONFIG_KEYS:
                raise complain(key, f"config '{key}' is not supported here.{did_you_mean(key, CONFIG_KEYS)}")
        enabled = values.get("enabled", self.enabled)
        if not isinstance(enabled, bool):
            raise complain("enabled", f"enabled is true or false, not {enabled!r}")
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
    """One ``.sql`` file.

    Attributes:
        name: the file's name without ``.sql``.
        path: the file.
        text: the template.
        config: merged from dbt_project.yml, schema.yml and the file itself, the latter wins.
        docs: what schema.yml says, an empty entry if nothing.
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
        """Whether it selects samples, so that it has a waterfall."""
        return SUBSET_TAG in self.config.tags

    def line_of(self, sql: str, line: int | None) -> int | None:
        """The line of the file that a line of its compiled SQL comes from; None if that is not known."""
        return sql.origin(line) if line is not None and isinstance(sql, CompiledSql) else None

    @property
    def is_stored(self) -> bool:
        """Whether it has a table of its own; an ephemeral model has none."""
        return self.config.materialized != "ephemeral"

    @property
    def description(self) -> str:
        """For people; empty if nobody wrote one."""
        return self.docs.description or self.config.description
