"""A slot in Dagster's pool `gpu`, for as long as work with a model is on a device of this machine.

Belongs here: taking and giving back, and when there is no need to. Does not belong here: which work needs a device (the rooms).

A step's pool belongs to its operation, whatever part of it is selected and whatever engine works, and one decode requires one
operation. So no step has a pool; its body takes a slot if a model is selected and the engine itself does not keep runs apart. A
selection without a model never waits for a device, and on a cluster two trainings wait for each other only where it has one GPU.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import dagster as dg

from arot_assets.progress import WAITING
from resources.compute import Compute

GPU_POOL = "gpu"
ASK_SECONDS = 1.0
"""Seconds between two checks whether a slot in a pool is free."""
A = TypeVar("A")
B = TypeVar("B")


@contextmanager
def device_of(context: dg.AssetExecutionContext, compute: Compute, wanted: bool) -> Iterator[None]:
    """Hold a slot in the pool `gpu`, if a device is wanted and the engine does not keep runs apart by itself.

    Args:
        context: of the step.
        compute: the engine that works.
        wanted: whether the work has a model.
    """
    if wanted and not compute.divides_devices:
        with place_in_pool(context, GPU_POOL):
            yield
    else:
        yield


@contextmanager
def unit_by_unit(
    context: dg.AssetExecutionContext, compute: Compute, wanted: bool, work: Callable[[A], B]
) -> Iterator[Callable[[A], B]]:
    """The same for work on many units: where this process does it, others get their turn between two units.

    Args:
        context: of the step.
        compute: the engine that works.
        wanted: whether the work has a model.
        work: on a unit.

    Returns:
        A context manager that gives the work to hand to the engine.
    """

    def placed(unit: A) -> B:
        with device_of(context, compute, wanted):
            return work(unit)

    with device_of(context, compute, wanted and not compute.is_local):
        yield placed if compute.is_local else work


@contextmanager
def place_in_pool(context: dg.AssetExecutionContext, pool: str) -> Iterator[None]:
    """Hold a slot in a pool, of the default size unless the instance sets another limit; wait until one is free.

    The slots are Dagster's own: the UI shows who holds them, and those of a killed run are released with it.
    """
    storage = context.instance.event_log_storage
    if not storage.supports_global_concurrency_limits:
        yield
        return
    step = str(context.op_execution_context.op_handle)
    storage.initialize_concurrency_limit_to_default(pool)
    limited = pool in {limit.name for limit in storage.get_pool_limits()}
    try:
        told = False
        while limited and not storage.claim_concurrency_slot(pool, context.run.run_id, step).is_claimed:
            if not told:
                context.log.info(f"{WAITING} for a slot in the pool {pool!r}")
                told = True
            time.sleep(ASK_SECONDS)
        yield
    finally:
        if limited:
            storage.free_concurrency_slot_for_step(context.run.run_id, step)
