"""Tables in the store that belong to nothing declared: to a dataset or metric that was removed from ``defs/``.

Belongs here: finding them. Does not belong here: removing them, which is the user's decision, because several projects may share
a store; the tables of SQL models (``subsets/leftovers.py``).
"""

from arot_assets.captions.quality import QUALITY
from arot_assets.declarations import Declarations
from resources.storage.storage import join
from resources.tables import INVENTORY, SAMPLES, TableRef, Tables
from resources.tables.unfinished import FOLDER

METRIC_VERSION = "metric_version"
"""In the footer of every metric table."""


def leftover_datasets(declared: Declarations, tables: Tables) -> list[str]:
    """Datasets that have tables and are no longer declared; not those whose declaration has a fault."""
    return [n for n in tables.datasets() if n not in declared.datasets and declared.fault(n) is None]


def leftover_rows(declared: Declarations, tables: Tables) -> list[tuple[str, str]]:
    """Datasets that are no longer declared and have rows of shards that were never completed, with the folder of these."""
    names = [n for n in tables.list(FOLDER) if n not in declared.datasets and declared.fault(n) is None]
    return [(name, join(tables.root, f"{FOLDER}/{name}")) for name in names if tables.list(f"{FOLDER}/{name}")]


def leftover_metrics(declared: Declarations, tables: Tables) -> list[TableRef]:
    """Metric tables that their dataset no longer has."""
    found = []
    for dataset, declaration in declared.datasets.items():
        kept = {INVENTORY, SAMPLES, *declaration.all_tables, *declared.tables_of(dataset)}
        for name in tables.of(dataset):
            made_by = name.removesuffix(QUALITY)  # a captioner with a fault keeps both of its tables
            if name in kept or any(declared.fault(one) for one in (name, made_by, f"metric {name}")):
                continue
            shards = (TableRef(dataset, name, shard) for shard in tables.shards(dataset, name))
            if any(METRIC_VERSION in tables.footer(shard) for shard in shards):  # the first says it, nearly always
                found.append(TableRef(dataset, name))
    return found
