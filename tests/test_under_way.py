"""What `arot status` says of runs that are under way."""

from pathlib import Path

import dagster as dg
import pytest

from arot_assets.cli.launch import open_instance
from arot_assets.cli.memory import remember
from arot_assets.cli.under_way import runs_under_way
from arot_assets.shard_progress import TAG

CV2, OTHER = ("photos", "cv2"), ("films", "frames")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing is recorded."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def add_run(key: tuple[str, str], status: dg.DagsterRunStatus, **tags: str) -> str:
    """A run of one asset."""

    @dg.asset(key=list(key))
    def made() -> None:
        """Nothing."""

    with open_instance() as instance:
        job = dg.Definitions([made]).resolve_implicit_global_asset_job_def()
        run = instance.create_run_for_job(
            job, status=status, tags=tags, asset_selection=frozenset({dg.AssetKey(list(key))})
        )
        return run.run_id


def test_runs_are_told_with_how_far_they_are(home: Path) -> None:
    far = add_run(CV2, dg.DagsterRunStatus.STARTED, **{TAG: "metrics 36%, 4 min left"})
    begun = add_run(CV2, dg.DagsterRunStatus.STARTED)
    add_run(OTHER, dg.DagsterRunStatus.STARTED)
    add_run(CV2, dg.DagsterRunStatus.SUCCESS)
    assert sorted(runs_under_way([CV2])) == sorted(
        [
            f"run {far[:8]} is under way: metrics 36%, 4 min left",
            f"run {begun[:8]} is under way: photos/cv2",
        ]
    )


def test_nothing_is_told_where_nothing_was_ever_run_or_nothing_runs_now(home: Path) -> None:
    assert runs_under_way([CV2]) == [] and not home.exists()
    add_run(CV2, dg.DagsterRunStatus.SUCCESS)
    remember([])
    assert runs_under_way([CV2]) == []


def test_records_that_cannot_be_read_do_not_stop_the_look(home: Path) -> None:
    add_run(CV2, dg.DagsterRunStatus.STARTED)
    (home / "dagster.yaml").write_text("storage: 7\n")
    (line,) = runs_under_way([CV2])
    assert line.startswith("whether runs are under way is not known: ")
