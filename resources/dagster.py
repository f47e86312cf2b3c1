"""The resources as Dagster injects them.

Belongs here: the only place where Dagster and the resources meet: the configuration shown in the launchpad, and how a
resource is built from it. Does not belong here: what a resource does. Everything else in ``resources`` is plain Python,
which workers, notebooks and the command line import without Dagster.

An asset asks for the plain class, ``storage: dg.ResourceParam[Storage]``. A user's own asset that needs a boto3 client
asks for ``s3: dagster_aws.s3.S3Resource``, which has the same server and the same credentials. That package takes 1.1 s
of CPU time to import (2.5 s with Dagster), so it is imported only when a run requests it.
"""

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field

from resources.compute import Compute, compute_of
from resources.defaults import Resources
from resources.models import Models
from resources.models.network import Engine, Precision
from resources.storage import Storage
from resources.storage.http.settings import HttpSettings
from resources.storage.hub.settings import HubSettings
from resources.storage.s3.settings import ATTEMPTS, S3Settings
from resources.tables import Tables
from resources.tables.form import require_form
from resources.warehouse import Warehouse

if TYPE_CHECKING:
    from dagster_aws.s3 import S3Resource


class S3Config(S3Settings, dg.Config):
    """``S3Settings``, as shown in the launchpad."""


class HttpConfig(HttpSettings, dg.Config):
    """``HttpSettings``, as shown in the launchpad."""


class HubConfig(HubSettings, dg.Config):
    """``HubSettings``, as shown in the launchpad."""


class StorageResource(dg.ConfigurableResource[Storage]):
    """Files and objects on any scheme."""

    s3: S3Config = S3Config()
    http: HttpConfig = HttpConfig()
    hub: HubConfig = HubConfig()

    def create_resource(self, context: dg.InitResourceContext) -> Storage:
        """The storage with these settings."""
        return Storage(
            S3Settings(**self.s3.model_dump()),
            HttpSettings(**self.http.model_dump()),
            HubSettings(**self.hub.model_dump()),
        )


class TablesResource(dg.ConfigurableResource[Tables]):
    """The Parquet tables of the store."""

    storage: dg.ResourceDependency[Storage]
    store: str = Field(default="", description="the root, any URI that storage reads; empty for $AROT_STORE")

    def create_resource(self, context: dg.InitResourceContext) -> Tables:
        """The tables, on the injected storage."""
        tables = Tables(self.storage, self.store)
        require_form(tables)
        return tables


class ComputeResource(dg.ConfigurableResource[Compute]):
    """Where units of work run: shards of tables, films that are cut, trainings."""

    engine: str = Field(
        default="", description="local, or ray for the machines of a Ray cluster; empty for $AROT_COMPUTE"
    )
    address: str = Field(default="", description="of the Ray cluster; empty for $RAY_ADDRESS, else this machine alone")

    accelerator: str = Field(
        default="",
        description="kind of GPU for work with a model on the Ray cluster, by Ray's name (H100, A100, L4 …); empty for "
        "$AROT_UNIT_ACCELERATOR, else any",
    )

    def create_resource(self, context: dg.InitResourceContext) -> Compute:
        """The engine; Ray is joined when the first unit of work is there."""
        return compute_of(self.engine, self.address, self.accelerator)


class WarehouseResource(dg.ConfigurableResource[Warehouse]):
    """DuckDB over the tables."""

    tables: dg.ResourceDependency[Tables]
    memory_limit: str = Field(
        default=Warehouse.memory_limit,
        description="memory that one connection may use, 2GB for example; beyond it DuckDB spills to disk; empty for a share "
        "of what the machine or the container has",
    )

    def create_resource(self, context: dg.InitResourceContext) -> Warehouse:
        """The warehouse over the injected tables."""
        return Warehouse(self.tables, self.memory_limit)


MODEL_SETTINGS = tuple(f.name for f in fields(Models) if f.name != "storage")
"""The settings of models that the launchpad shows."""


class ModelsResource(dg.ConfigurableResource[Models]):
    """Models by name."""

    storage: dg.ResourceDependency[Storage]
    device: str = Field(
        default="auto", description="auto takes CUDA, then Apple's MPS, then the CPU; cuda:1 is one GPU of several"
    )
    precision: Precision = Field(
        default="float32",
        description="below float32 only on CUDA (autocast), for entries that allow it; rows get a different version",
    )
    batch_size: int = Field(
        default=0, ge=0, description="images per batch; 0 = 4 on a CPU, 32 on a GPU, halved when memory runs out"
    )
    cpu_threads: int = Field(
        default=0, ge=0, description="threads of one forward pass on a CPU; 0 = half of the cores, the rest decode"
    )

    engine: Engine = Field(
        default="auto",
        description="auto takes what is fastest with each family's numbers; rows of one that is named get another version",
    )
    memory_gb: float = Field(
        default=0.0,
        ge=0,
        description="GB of weights loaded together; 0 = 80 % of the GPU, half of the machine on a CPU",
    )
    cache: str = Field(default="", description="where weights are kept; empty for $AROT_MODELS, else the user's cache")
    offline: bool = Field(default=False, description="fetch no weights")

    def create_resource(self, context: dg.InitResourceContext) -> Models:
        """The models with these settings."""
        settings = {name: getattr(self, name) for name in MODEL_SETTINGS}
        return Models(**settings, storage=self.storage)


def dagster_resources(resources: Resources) -> dict[str, Any]:
    """Resource key -> resource, as ``Definitions`` takes it, with the settings of the plain resources."""
    storage = StorageResource(
        s3=S3Config(**resources.storage.s3.model_dump()),
        http=HttpConfig(**resources.storage.http.model_dump()),
        hub=HubConfig(**resources.storage.hub.model_dump()),
    )
    tables = TablesResource(storage=storage, store=resources.tables.store)
    models = resources.models
    return {
        "compute": ComputeResource(),
        "storage": storage,
        "tables": tables,
        "warehouse": WarehouseResource(tables=tables, memory_limit=resources.warehouse.memory_limit),
        "models": ModelsResource(
            storage=storage,
            **{name: getattr(models, name) for name in MODEL_SETTINGS},
        ),
        "s3": s3_definition(resources.storage.s3),
    }


def s3_definition(settings: S3Settings) -> dg.ResourceDefinition:
    """Dagster's own S3 resource, created when an asset requests it."""

    def make(_: dg.InitResourceContext) -> "S3Resource":
        from dagster_aws.s3 import S3Resource

        return S3Resource(
            endpoint_url=settings.endpoint or None,
            region_name=settings.configured_region,
            profile_name=settings.profile or None,
            use_unsigned_session=settings.unsigned,
            max_attempts=ATTEMPTS,
        )

    return dg.ResourceDefinition(
        make, description="dagster_aws.s3.S3Resource, with the storage's server and credentials"
    )
