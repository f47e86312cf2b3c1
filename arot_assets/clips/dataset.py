"""Clips as a dataset: the folder of their files in the store, and the table ``<dataset>.cut`` with where each comes from.

Belongs here: cutting into that folder, and whether what is there is current. Does not belong here: cutting into any other
folder (``cutting.py``); inventory, samples and metrics of the files, which are those of any dataset of films.
"""

from typing import Protocol

import pyarrow as pa

from arot_assets.clips.asked import wanted
from arot_assets.clips.cutting import FAILED, cut_clips
from arot_assets.clips.declaration import Cutting
from arot_assets.clips.target import Target
from resources.defaults import Resources
from resources.storage.storage import join
from resources.tables import TableRef, Tables
from resources.tables.refs import CLIPS, CUT, SUFFIX, StoreFile
from resources.tables.tables import default_store
from resources.warehouse import Connection

DIGEST = "wanted"
"""Footer key: which clips the table was asked for, and how they are written."""


class ClipsDeclaration(Protocol):
    """What is needed of a declaration of clips."""

    @property
    def name(self) -> str:
        """The dataset."""

    @property
    def cutting(self) -> Cutting:
        """Which clips are cut, and how."""


def folder_of(dataset: str) -> str:
    """Where the files of a dataset of clips are: a folder of the store."""
    return join(default_store(), f"{CLIPS}/{dataset}")


def cut_table(dataset: str) -> TableRef:
    """The table with a row for each clip that was asked for."""
    return TableRef(dataset, CUT)


def cut_dataset(resources: Resources, declaration: ClipsDeclaration) -> pa.Table:
    """Cut the clips of a dataset that are not there yet, and delete the files of those that its model no longer has.

    Work that is stopped leaves the table as it was; finished files are found again.

    Args:
        resources: the store and the sources.
        declaration: the dataset.

    Returns:
        The table.

    Raises:
        ProjectError: see ``cut_clips``.
        StorageError: the store cannot be written.
    """
    cutting, tables = declaration.cutting, resources.warehouse.tables
    with resources.warehouse.connect() as con:
        digest = wanted(con, cutting.model, cutting.films, cutting.settings)
    folder = tables.uri(StoreFile(f"{CLIPS}/{declaration.name}"))
    target = Target(folder, f"{folder}{SUFFIX}", prune=True)
    table = cut_clips(resources, cutting.model, cutting.films, target, cutting.settings)
    failed = sum(status != "ok" for status in table["status"].to_pylist())
    tables.write(table, cut_table(declaration.name), {DIGEST: digest, FAILED: str(failed)})
    return table


def is_current(tables: Tables, con: Connection, declaration: ClipsDeclaration) -> bool:
    """Whether the table has the clips that are asked for now, written as they are to be written now.

    Raises:
        ProjectError: the model is not there.
    """
    footer = tables.footer_if_any(cut_table(declaration.name))
    cutting = declaration.cutting
    return footer is not None and footer.get(DIGEST) == wanted(con, cutting.model, cutting.films, cutting.settings)
