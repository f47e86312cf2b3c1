"""Tables of SQL models that are declared no more.

Belongs here: finding and removing them. Does not belong here: deciding whose they are: a store may serve several checkouts of
the project, and a model that one does not have is another's.
"""

from collections.abc import Sequence

from arot_assets.subsets.digest import DIGEST
from arot_assets.subsets.project import Project
from resources.tables import ModelRef, Tables
from resources.tables.tables import TablesError
from resources.warehouse import Warehouse


def leftover_models(project: Project, tables: Tables) -> list[str]:
    """Names of the tables in ``models/`` that arot wrote and that no stored model of the project has."""
    stored = {model.name for model in project.models.values() if model.is_stored}
    names = [n.removesuffix(".parquet") for n in tables.list("models") if n.endswith(".parquet")]
    return [name for name in names if name not in stored and _is_ours(tables, name)]


def remove_models(names: Sequence[str], tables: Tables, warehouse: Warehouse) -> None:
    """Delete the tables of some models, and their views with them.

    Raises:
        StorageError: one cannot be deleted, or the catalogue not be written.
    """
    for name in names:
        tables.storage.delete(tables.uri(ModelRef(name)))
    warehouse.refresh()


def _is_ours(tables: Tables, name: str) -> bool:
    try:
        return DIGEST in (tables.footer_if_any(ModelRef(name)) or {})
    except TablesError:  # no Parquet: somebody else put it there
        return False
