"""How far the shards of a run are, as people see it in the UI while it is under way, and afterwards."""

import dagster as dg
import pytest

from arot_assets import shard_progress
from arot_assets.shard_progress import TAG, ShardProgress, taken_totals
from resources.compute.lookout import TELL_SECONDS, Lookout
from resources.compute.share import Share

SHARDS = dg.StaticPartitionsDefinition(["00000", "00001"])
WHOLE = {"dagster/asset_partition_range_start": "00000", "dagster/asset_partition_range_end": "00001"}


def run(instance: dg.DagsterInstance, fails: bool) -> tuple[list[str], dg.ExecuteInProcessResult]:
    """A run over two shards; gives its tag after each."""
    seen: list[str] = []

    @dg.asset(partitions_def=SHARDS, backfill_policy=dg.BackfillPolicy.single_run())
    def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        def tag() -> str:
            found = context.instance.get_run_by_id(context.run.run_id)
            assert found is not None
            return str(found.tags[TAG])

        with ShardProgress(context, "demo", "metrics", {"00000": 300, "00001": 100}, "images") as progress:
            seen.append(tag())
            progress.finished("00000", 300)
            seen.append(tag())
            if fails:
                raise ValueError("broken")
            assert progress.finished("00001", 100).keys() == {"images/s"}
            assert progress.finished("00001", 0) == {}, "a shard without work has no pace of its own"
        return dg.MaterializeResult()

    done = dg.materialize([table], instance=instance, tags=WHOLE, raise_on_error=False)
    found = instance.get_run_by_id(done.run_id)
    assert found is not None
    return [*seen, found.tags[TAG]], done


@pytest.mark.parametrize("fails", [False, True])
def test_a_run_says_in_its_tag_how_far_it_is_and_how_it_ended(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_progress, "TAG_EVERY_SECONDS", 0.0)
    taken_totals()
    with dg.DagsterInstance.ephemeral() as instance:
        (begun, half, ended), done = run(instance, fails)
        log = [r.event_log_entry.user_message for r in instance.get_records_for_run(done.run_id).records]
    assert begun == "metrics: 0 of 2 shards"
    assert half.startswith("metrics 75%, at most ") and half.endswith(" images/s")
    assert any(line.startswith("shard done: demo/metrics 00000: 1 of 2 shards, ") for line in log)
    if fails:
        assert ended.startswith("metrics stopped: 1 of 2 shards, 300 images, ") and taken_totals() == []
    else:
        assert ended.startswith("metrics: 2 of 2 shards, 400 images, ")
        assert [line.partition(",")[0] for line in taken_totals()] == ["demo/metrics: 400 images"]


def test_a_run_that_waits_for_a_machine_says_so_in_its_tag() -> None:
    with dg.DagsterInstance.ephemeral() as instance:

        @dg.asset(partitions_def=SHARDS, backfill_policy=dg.BackfillPolicy.single_run())
        def table(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
            with ShardProgress(context, "demo", "metrics", {}, "images"):
                lookout = Lookout(Share(1, 1), lambda: [{"CPU": 8.0}], 60, iter((0.0, TELL_SECONDS)).__next__)
                lookout.look()
                lookout.look()
                found = instance.get_run_by_id(context.run.run_id)
                assert found is not None
                seen.append(found.tags[TAG])
            return dg.MaterializeResult()

        seen: list[str] = []
        assert dg.materialize([table], instance=instance, tags=WHOLE).success
    assert seen == ["metrics 0%, waiting for a machine: a unit takes 1 core and 1 GPU"]
