"""Where a table is in the store: the one place that knows the folder layout.

Belongs here: the names of folders, of the tables that every dataset has, and the path of each. Does not belong here:
reading and writing (``tables.py``), the views over the tables (``resources.warehouse``).
"""

from dataclasses import dataclass
from typing import Protocol

DATASETS = "datasets"
MODELS = "models"
TAGS = "tags"
RATINGS = "ratings"
CLIPS = "clips"
LEASES = "leases"
SUFFIX = ".parquet"

INVENTORY = "inventory"
"""Every object seen at a dataset's source; one file."""
SAMPLES = "samples"
"""One row per object, in shards."""
GRAIN = "grain"
"""Footer key of a table of a dataset that has any number of rows for a sample: what a row is."""
CUT = "cut"
"""Where each clip of a dataset of clips comes from, and the proof of its file; one file."""
WIDE = "wide"
"""The view that joins ``samples`` with every metric; no file has this name."""


class StorePath(Protocol):
    """A file of the store."""

    @property
    def path(self) -> str:
        """Its path below the store, with ``/`` between the parts."""


@dataclass(frozen=True)
class TableRef:
    """A table of a dataset, or one shard of it.

    Attributes:
        dataset: the dataset's name, which is its schema in SQL too.
        table: the table's name.
        shard: the shard; empty for a table that is one file, and for all shards together.
    """

    dataset: str
    table: str
    shard: str = ""

    @property
    def path(self) -> str:
        """The one file of this table, or of this shard."""
        return f"{self.folder}/{self.shard}{SUFFIX}" if self.shard else f"{self.folder}{SUFFIX}"

    @property
    def folder(self) -> str:
        """The folder of its shards."""
        return f"{DATASETS}/{self.dataset}/{self.table}"


@dataclass(frozen=True)
class ModelRef:
    """The table of a SQL model."""

    name: str

    @property
    def path(self) -> str:
        """Its file."""
        return f"{MODELS}/{self.name}{SUFFIX}"


@dataclass(frozen=True)
class TagsRef:
    """The list of a tagger's tags: what the ids in its tables mean.

    Attributes:
        tagger: its name, which is its tables' too.
    """

    tagger: str

    @property
    def path(self) -> str:
        """Its file."""
        return f"{TAGS}/{self.tagger}{SUFFIX}"


@dataclass(frozen=True)
class RatingsRef:
    """A table of ratings.

    Attributes:
        name: the ratings' name, which is the schema of what is made from them.
        table: ``RATINGS`` for the ratings themselves, in SQL ``ratings.<name>``; others are ``<name>.<table>``.
    """

    name: str
    table: str = RATINGS

    @property
    def path(self) -> str:
        """Its file."""
        return f"{RATINGS}/{self.name}/{self.table}{SUFFIX}"


@dataclass(frozen=True)
class StoreFile:
    """Any other file of the store: a checkpoint, a report, a receipt."""

    path: str
