"""The resources that every process uses: Dagster's definitions, the command line, notebooks.

Belongs here: building them from the environment, in one place. The variables are ``AROT_STORE`` (the root of the
tables) and those of S3 (``AWS_*``, ``AROT_S3_ANONYMOUS``) in ``S3Settings``; one instance of it serves our own
requests, boto3, DuckDB and, in ``resources.dagster``, Dagster's ``S3Resource``.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from resources.compute import Compute, Local
from resources.storage import Storage
from resources.storage.objects import absolute, is_local
from resources.tables import Tables
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    from resources.models import Models


@dataclass(frozen=True)
class Resources:
    """The injected resources; the names are the resource keys.

    Attributes:
        made_models: the value of ``models``; None for models configured from the environment.
        compute: where shards are worked on; Dagster's resource of this name chooses by ``AROT_COMPUTE``.
    """

    storage: Storage
    tables: Tables
    warehouse: Warehouse
    made_models: "Models | None" = None
    compute: Compute = field(default_factory=Local)

    @cached_property
    def models(self) -> "Models":
        """The models, imported on first use: they import numpy, which a query or a listing does not need."""
        from resources.models import Models

        return self.made_models or Models(storage=self.storage)

    def shares(self, uri: str) -> bool:
        """Whether every node of a cluster reaches a place: of another scheme, or in the store. A folder of this machine that is
        elsewhere may be nobody else's."""
        inside = absolute(uri).startswith(f"{absolute(self.tables.root)}/")
        return inside or not is_local(uri)


def default_resources() -> Resources:
    """Resources as the environment configures them; builds nothing heavy."""
    storage = Storage()
    tables = Tables(storage)
    return Resources(storage, tables, Warehouse(tables))
