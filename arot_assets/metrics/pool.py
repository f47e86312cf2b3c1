"""A place in one of Dagster's pools for a part of a step.

Belongs here: taking and giving back the place. Who needs one is said in ``assets.py``.
The places are Dagster's own: the UI shows who holds them and who waits, and those of a killed run are freed with it.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

ASK_SECONDS = 1.0
"""Between two questions whether a place is free."""


@contextmanager
def place_in_pool(context: dg.AssetExecutionContext, pool: str) -> Iterator[None]:
    """Hold a place in a pool, of the default size unless the instance limits it otherwise; wait until there is one."""
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
                context.log.info(f"waiting for a place in the pool {pool!r}")
                told = True
            time.sleep(ASK_SECONDS)
        yield
    finally:
        if limited:
            storage.free_concurrency_slot_for_step(context.run.run_id, step)
