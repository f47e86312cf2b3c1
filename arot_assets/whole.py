"""An asset that is made in one step from whole tables, with all resources: duplicates, neighbours, clips, exports, models.

Belongs here: the shape that the doors of these rooms share. Does not belong here: sharded tables (``metrics/assets/``,
``datasets/assets.py``), what the asset does.
"""

from collections.abc import Callable, Iterable, Sequence
from logging import Logger
from typing import Any

import dagster as dg

from arot_assets.failures import fails_in_words
from arot_assets.pool import device_of
from resources.compute import Compute
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import StoreFile, Tables
from resources.tables.refs import SUFFIX
from resources.warehouse import Warehouse

WHOLE = "whole"
"""How the reservations of these assets begin."""
Metadata = dict[str, Any]
"""What the UI shows of a materialization: Dagster's metadata values by label."""


def reserved(path: Sequence[str]) -> StoreFile:
    """What is reserved in the store while such an asset is made: two runs never make it at once."""
    return StoreFile("/".join((WHOLE, *path)) + SUFFIX)


def whole_asset(
    path: Sequence[str],
    upstream: Iterable[Sequence[str]],
    work: Callable[[Resources, Logger], dg.MaterializeResult],
    device: bool = False,
    **shown: Any,
) -> dg.AssetsDefinition:
    """One asset; it needs the resources ``compute``, ``storage``, ``tables``, ``warehouse`` and ``models``.

    Args:
        path: of its key.
        upstream: paths of the keys of what it is made from.
        work: makes it, given the resources and the log of the run.
        device: whether it is worked on with a model.
        shown: all else that ``dagster.asset`` takes.
    """

    @fails_in_words
    def whole(
        context: dg.AssetExecutionContext,
        compute: dg.ResourceParam[Compute],
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
        models: dg.ResourceParam[Models],
    ) -> dg.MaterializeResult:
        with (
            tables.leases.wait_for([reserved(path)], context.run.run_id, context.log.info),
            device_of(context, compute, device),
        ):
            return work(Resources(storage, tables, warehouse, models, compute), context.log)

    declare: Callable[..., dg.AssetsDefinition] = dg.asset(
        key=dg.AssetKey(path), deps=[dg.AssetKey(one) for one in upstream], **shown
    )
    return declare(whole)
