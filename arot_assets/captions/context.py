"""What a prompt may read of the samples of a shard.

Belongs here: gathering the rows of the tables that a prompt names. Does not belong here: templates (``prompt.py``).
"""

from collections.abc import Collection, Mapping
from typing import Any

from arot_assets.captions.prompt import SAMPLE, Prompt, PromptError
from resources.tables import SAMPLES, TableRef, Tables

Values = Mapping[str, Mapping[str, Any]]


class Context:
    """The rows of a shard that a prompt reads.

    Args:
        tables: the lake.
        dataset: whose shard.
        shard: its name.
        prompt: what reads them.
        also: names of tables that something else reads.

    Raises:
        PromptError: a table that it names does not have this shard.
    """

    def __init__(self, tables: Tables, dataset: str, shard: str, prompt: Prompt, also: Collection[str] = ()) -> None:
        self._columns: dict[str, list[str]] = {}
        self._rows: dict[str, dict[str, dict[str, Any]]] = {}
        for name in {*prompt.names, *also}:
            ref = TableRef(dataset, SAMPLES if name == SAMPLE else name, shard)
            if not tables.exists(ref):
                raise PromptError(
                    f"{prompt.path}: it reads '{name}', and dataset '{dataset}' has no such table in shard {shard}; add it to "
                    f"the dataset's metrics, or run `arot run {dataset}`"
                )
            table = tables.read(ref)
            ids = [one for one in table["sample_id"].to_pylist() if one is not None]
            if name != SAMPLE and len(ids) > len(set(ids)):
                raise PromptError(
                    f"{prompt.path}: it reads '{name}', which has several rows a sample in dataset '{dataset}' (shard {shard}); "
                    "a prompt reads tables with one"
                )
            self._columns[name] = table.schema.names
            self._rows[name] = {row["sample_id"]: row for row in table.to_pylist() if row["sample_id"] is not None}

    def of(self, sample_id: str) -> Values:
        """Table -> column -> value, null for a sample that a table has no row of."""
        return {name: rows.get(sample_id) or dict.fromkeys(self._columns[name]) for name, rows in self._rows.items()}
