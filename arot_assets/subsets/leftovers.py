"""Tables of SQL models that are no longer declared.

Belongs here: finding and removing them, and files that are no tables. Does not belong here: deciding whose they are: a store
may serve several checkouts of the project, and a model that one does not have is another's.
"""

from collections.abc import Sequence

from arot_assets.subsets.digest import DIGEST
from arot_assets.subsets.project import Project
from resources.tables import ModelRef, Tables
from resources.warehouse import Warehouse


def leftover_models(project: Project, tables: Tables) -> list[str]:
    """Names of the tables in ``models/`` that arot wrote and that no stored model of the project has.

    A model that is left out because of a fault is still there.
    """
    stored = {model.name for model in project.models.values() if model.is_stored}
    names = [n.removesuffix(".parquet") for n in tables.list("models") if n.endswith(".parquet")]
    return [name for name in names if name not in stored and name not in project.broken and _is_ours(tables, name)]


def damaged_models(tables: Tables) -> list[str]:
    """Names of the files in ``models/`` that are no Parquet: nobody sees them as tables, and a build replaces them."""
    return [name for name in tables.models() if not tables.is_readable(ModelRef(name))]


def remove_models(names: Sequence[str], tables: Tables, warehouse: Warehouse) -> None:
    """Delete the tables of some models, and their views with them.

    Raises:
        StorageError: one cannot be deleted, or the catalogue not be written.
    """
    for name in names:
        tables.storage.delete(tables.uri(ModelRef(name)))
    warehouse.refresh()


def _is_ours(tables: Tables, name: str) -> bool:
    return tables.is_readable(ModelRef(name)) and DIGEST in tables.footer(ModelRef(name))
