"""What is known about a dataset by its name alone: its medium, how its files are accessed, and where they are now.

Belongs here: what its last inventory recorded, for downstream rooms that have no declaration. Does not belong here:
reading files (``reach.py``), where objects are (``presence.py``).
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from arot_assets.datasets.declaration import LIST_EXTENSIONS, UrlList
from arot_assets.datasets.inventory import EARLIER_ROOTS, MEDIUM, ROOT, RULES, InventoryError
from arot_assets.datasets.presence import Copies
from arot_assets.datasets.reach import reader, under
from arot_assets.media.file import File
from arot_assets.media.media import FIRST, MEDIA
from arot_assets.media.medium import Medium
from resources.storage import Storage
from resources.storage.objects import is_local
from resources.tables import INVENTORY, TableRef, Tables
from resources.warehouse import Warehouse


@dataclass(frozen=True)
class Place:
    """Where the files of a dataset are.

    Attributes:
        storage: accesses them, with the dataset's settings.
        medium: the kind of the files.
        copies: other addresses of a sample (``presence.Copies``).
    """

    storage: Storage
    medium: Medium
    copies: Callable[[str], Iterable[str]]

    def files(self, sample_ids: Mapping[str, str]) -> Callable[[str], File]:
        """``uri -> File`` of exactly these samples; see ``reach.reader`` for the errors that fetching may raise.

        Args:
            sample_ids: uri -> ``sample_id``.
        """
        read = reader(self.storage, self.medium, sample_ids, self.copies)
        return lambda uri: File(uri, partial(read, uri))


def dataset_root(tables: Tables, dataset: str) -> str:
    """The source of a dataset; its uris start with it.

    Raises:
        InventoryError: there is no inventory yet.
    """
    return all_roots(tables, dataset)[0]


def all_roots(tables: Tables, dataset: str) -> list[str]:
    """The current source of a dataset and its earlier ones, newest first.

    Raises:
        InventoryError: there is no inventory yet.
    """
    footer = tables.footer_if_any(TableRef(dataset, INVENTORY))
    if footer is None or ROOT not in footer:
        raise InventoryError(f"dataset {dataset!r} has no inventory yet: run `arot run {dataset}` first")
    return [footer[ROOT], *json.loads(footer.get(EARLIER_ROOTS, "[]"))]


def seen_by_all(tables: Tables, datasets: Iterable[str]) -> list[str]:
    """What each machine that reads files of these datasets must see for itself: folders, and prefixes on S3."""
    found = []
    for dataset in datasets:
        footer = tables.footer_if_any(TableRef(dataset, INVENTORY)) or {}
        root = footer.get(ROOT, "")
        is_list = footer.get(RULES) or root.lower().endswith(LIST_EXTENSIONS)
        if root and not is_list and (is_local(root) or root.startswith("s3://")):
            found.append(root)
    return found


def medium_of(tables: Tables, dataset: str) -> Medium:
    """What the files of a dataset are, as its last inventory noted it; images if there is none."""
    footer = tables.footer_if_any(TableRef(dataset, INVENTORY)) or {}
    return MEDIA[footer.get(MEDIUM, FIRST)]


def place_of(storage: Storage, warehouse: Warehouse, dataset: str, sample_ids: Collection[str] | None = None) -> Place:
    """The place of a dataset, as recorded by its last inventory.

    Args:
        storage: accesses any object.
        warehouse: over the store.
        dataset: its name.
        sample_ids: those that may be requested, see ``Copies``.
    """
    footer = warehouse.tables.footer_if_any(TableRef(dataset, INVENTORY)) or {}
    rules = footer.get(RULES)
    reached = under(storage, UrlList.model_validate_json(rules)) if rules else storage
    return Place(reached, medium_of(warehouse.tables, dataset), Copies(warehouse, dataset, sample_ids))
