"""A slot in one of Dagster's pools, for a part of a step.

Belongs here: taking and giving back. Does not belong here: who needs one (``shards.py``).

A step's pool belongs to its operation, whatever part of it is selected, and one decode requires one operation. So the step of the
metrics has no pool; its body takes a slot if a metric with a model is selected. A selection of others never waits for a device.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from arot_assets.progress import WAITING

GPU_POOL = "gpu"
ASK_SECONDS = 1.0
"""Seconds between two checks whether a slot in a pool is free."""


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
