"""What commands remember of Dagster's records: as long as nothing was recorded since, and not a moment longer."""

import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from arot_assets.cli.check_results import CheckId, CheckResult, Results
from arot_assets.cli.home import home_folder
from arot_assets.cli.launch import open_instance
from arot_assets.cli.memory import recall, remember
from arot_assets.cli.runs import Runs
from arot_assets.steps import CHECK_VERSION, Check, Graph, State, Step
from tests.conftest import REPOSITORY

KEY = ("models", "m")
SOUND, NEVER_RAN = (KEY, "sound"), (KEY, "never ran")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which a check has run."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    record_check(passed=True)
    return home_folder()


def record_check(passed: bool) -> None:
    """What a run of the check records."""

    @dg.asset(key=list(KEY))
    def model() -> None:
        """Nothing."""

    @dg.asset_check(asset=list(KEY))
    def sound() -> dg.AssetCheckResult:
        return dg.AssetCheckResult(passed=passed, description="7 rows", metadata={CHECK_VERSION: "v1"})

    with open_instance() as instance:
        dg.materialize([model, sound], instance=instance)


def looked(*checks: CheckId) -> Results | None:
    remember(checks)
    return recall(home_folder())


def test_results_are_remembered_as_they_are_recorded(home: Path) -> None:
    said = {SOUND: CheckResult(True, True, "7 rows", "v1"), NEVER_RAN: None}
    assert recall(home) is None
    assert looked(SOUND, NEVER_RAN) == said
    assert looked(SOUND, NEVER_RAN) == said, "reading changes nothing"


def test_whatever_is_recorded_ends_it(home: Path) -> None:
    assert looked(SOUND) is not None
    record_check(passed=False)
    assert recall(home) is None
    after = looked(SOUND)
    assert after == {SOUND: CheckResult(False, True, "7 rows", "v1")}
    with open_instance() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(list(KEY)))
    assert recall(home) is None


def test_while_somebody_has_the_records_open_they_are_remembered_all_the_same(home: Path) -> None:
    with open_instance() as other:
        assert other.get_runs_count() == 1
        assert looked(SOUND) is not None
        other.report_runless_asset_event(dg.AssetMaterialization(list(KEY)))
        assert recall(home) is None


def test_nothing_is_remembered_while_a_run_is_under_way(home: Path) -> None:
    """It may be killed later, and then the next command closes it."""
    assert looked(SOUND) is not None
    found = []

    @dg.asset
    def looks() -> None:
        found.extend([recall(home), looked(SOUND)])

    with open_instance() as instance:
        dg.materialize([looks], instance=instance)
    assert found == [None, None]
    assert looked(SOUND) is not None


@pytest.mark.parametrize(
    "setting", ["run_storage: {module: m, class: C}", "storage: {postgres: {}}", "- no settings", ": {"]
)
def test_records_of_another_place_are_not_remembered(home: Path, setting: str) -> None:
    assert looked(SOUND) is not None
    with (home / "dagster.yaml").open("a") as file:
        file.write(f"\n{setting}\n")
    assert recall(home) is None


def test_damaged_memory_is_none(home: Path) -> None:
    assert looked(SOUND) is not None
    (home / "arot-last-look.json").write_text('{"format"')
    assert recall(home) is None


def test_check_that_is_not_among_them_is_read(home: Path) -> None:
    known = looked(SOUND)
    graph = Graph([Step((KEY,), (), lambda _look: State(True), checks={KEY: (Check("sound"), Check("never ran"))})])
    with Runs(open_instance, dg.Definitions, known) as runs:
        assert runs.last_results(graph)[NEVER_RAN] is None
        assert runs.is_open
    with Runs(open_instance, dg.Definitions, looked(SOUND, NEVER_RAN)) as runs:
        assert runs.last_results(graph)[SOUND] is not None
        assert not runs.is_open


def test_asking_again_needs_no_dagster(home: Path) -> None:
    assert looked(SOUND) is not None
    code = (
        "import sys\nfrom arot_assets.cli import session, work\nfrom arot_assets.cli.home import home_folder\n"
        "assert session.recall(home_folder())\nassert 'dagster' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, env={**os.environ}, check=True)
