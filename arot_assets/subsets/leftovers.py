"""Tables of SQL models that are no longer declared.

Belongs here: finding and removing them, and files that are not tables. Does not belong here: deciding whose they are: a
store may be shared by several checkouts of the project, and a model that one of them lacks may belong to another.
"""

from collections.abc import Sequence

from arot_assets.subsets.digest import DIGEST
from arot_assets.subsets.project import Project
from resources.tables import ModelRef, Tables
from resources.warehouse import Warehouse


def leftover_models(project: Project, tables: Tables) -> list[str]:
    """Names of the tables in ``models/`` that arot wrote and that belong to no stored model of the project.

    A model that is left out because of a fault still counts as declared.
    """
    stored = {model.name for model in project.models.values() if model.is_stored}
    names = [n.removesuffix(".parquet") for n in tables.list("models") if n.endswith(".parquet")]
    return [name for name in names if name not in stored and name not in project.broken and _is_ours(tables, name)]


def damaged_models(tables: Tables) -> list[str]:
    """Names of the files in ``models/`` that are not Parquet: no view shows them, and a build replaces them."""
    return [name for name in tables.models() if not tables.is_readable(ModelRef(name))]


def remove_models(names: Sequence[str], tables: Tables, warehouse: Warehouse) -> None:
    """Delete the tables of these models, together with their views.

    Raises:
        StorageError: one of them cannot be deleted, or the catalogue cannot be written.
    """
    for name in names:
        tables.storage.delete(tables.uri(ModelRef(name)))
    warehouse.refresh()


def _is_ours(tables: Tables, name: str) -> bool:
    return tables.is_readable(ModelRef(name)) and DIGEST in tables.footer(ModelRef(name))
