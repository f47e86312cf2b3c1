"""Who waits for the device of this machine, and who does not because the engine has devices of its own."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from arot_assets.pool import GPU_POOL
from arot_assets.whole import whole_asset
from resources.compute import Local
from resources.dagster import dagster_resources
from resources.defaults import Resources
from tests.engines import Watched

ENGINES = {"this process": Local(), "a Ray of this machine": Watched(divides_devices=False), "a cluster": Watched()}


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[dg.DagsterInstance, list[str]]]:
    """An instance in which somebody else holds the only place until somebody waits for it; and who waited."""
    waited: list[str] = []
    with dg.instance_for_test(overrides={"concurrency": {"pools": {"default_limit": 1}}}) as instance:
        log = instance.event_log_storage
        log.initialize_concurrency_limit_to_default(GPU_POOL)
        assert log.claim_concurrency_slot(GPU_POOL, "another run", "its step").is_claimed

        def patience(seconds: float) -> None:
            waited.append("waited")
            log.free_concurrency_slot_for_step("another run", "its step")

        monkeypatch.setattr("arot_assets.pool.time", SimpleNamespace(sleep=patience))
        yield instance, waited


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("device", [True, False])
def test_only_work_with_a_model_on_devices_that_no_engine_divides_waits(
    taken: tuple[dg.DagsterInstance, list[str]], resources: Resources, tmp_path: Path, engine: str, device: bool
) -> None:
    instance, waited = taken
    held: list[int] = []

    def work(_resources: Resources, _log: Any) -> dg.MaterializeResult[None]:
        held.append(len(instance.event_log_storage.get_concurrency_info(GPU_POOL).claimed_slots))
        return dg.MaterializeResult()

    made = whole_asset(["a"], [], work, device=device)
    given = {**dagster_resources(resources), "compute": ENGINES[engine]}
    assert dg.materialize([made], instance=instance, resources=given).success
    waits = device and engine != "a cluster"
    assert bool(waited) == waits
    assert held == [1], "its own place, or still the other's"
    left = {slot.run_id for slot in instance.event_log_storage.get_concurrency_info(GPU_POOL).claimed_slots}
    assert left == (set() if waits else {"another run"})
