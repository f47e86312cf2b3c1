"""Machines of a cluster get work only if they would make the tables of this one; what differs is one error with its remedy."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from arot_assets.datasets import nodes
from arot_assets.datasets.nodes import NodeError, Seen, meet
from resources.compute import Needs
from resources.storage import Storage
from resources.tables import Tables
from tests.engines import Machines


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tables:
    monkeypatch.setattr(nodes, "_asked", {})
    (tmp_path / "store").mkdir()
    return Tables(Storage(), str(tmp_path / "store"))


def refused(tables: Tables, **changes: Callable[[Seen], Seen | Exception]) -> str:
    with pytest.raises(NodeError) as told:
        meet(Machines(changes=changes), tables, Needs())
    assert tables.list("leases") == []
    return str(told.value)


def test_machines_like_this_one_are_asked_once_and_leave_nothing_in_the_store(tables: Tables, tmp_path: Path) -> None:
    machines = Machines()
    for _ in range(2):
        assert meet(machines, tables, Needs(), [str(tmp_path)]) == "5 machines, 40 cores, 5 GPUs"
    assert machines.asked == ["a", "b", "c", "d", "e"]
    assert tables.list("leases") == []


def test_other_code_is_told_with_the_machines_that_have_it(tables: Tables) -> None:
    def other(seen: Seen) -> Seen:
        return replace(seen, code="other")

    assert refused(tables, b=other).startswith("machine b of the cluster: another version of arot; install the same")
    assert refused(tables, a=other, b=other, c=other, d=other).startswith("machines a, b, c and 1 more of the cluster:")


def test_other_packages_are_told_with_both_versions(tables: Tables) -> None:
    def other(seen: Seen) -> Seen:
        return replace(seen, versions={**seen.versions, "numpy": "1.0", "torch": ""})

    numpy, torch = nodes._here().versions["numpy"], nodes._here().versions["torch"]
    assert f"numpy 1.0 instead of {numpy}, torch absent instead of {torch}; install the same" in refused(
        tables, b=other
    )


def test_machine_without_arot_is_told_in_words(tables: Tables) -> None:
    error = RuntimeError("The function failed to import\nModuleNotFoundError: No module named 'arot_assets'\n")
    said = refused(tables, c=lambda _: error)
    assert said.startswith("machine c of the cluster: no arot, or another version of it (no module 'arot_assets');")
    assert "\n" not in said


def test_projects_own_metrics_must_be_there(tables: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "project" / "metrics").mkdir(parents=True)
    (tmp_path / "project" / "metrics" / "mine.py").write_text("x = 1\n")
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "project"))
    assert "metrics and models are not there" in refused(tables, a=lambda seen: replace(seen, own=""))


def test_store_that_only_this_machine_sees_is_found(tables: Tables, tmp_path: Path) -> None:
    elsewhere = nodes.RollCall(Tables(Storage(), str(tmp_path / "other")), nodes.Mark("x"), (str(tmp_path / "absent"),))
    store, source = elsewhere().problems
    assert store.startswith(
        f"another store is at '{tmp_path}/other' there; it is a folder of one machine: set AROT_STORE"
    )
    assert source.startswith(
        f"the source '{tmp_path}/absent' is not there; it is a folder of one machine: move it to s3"
    )


def test_store_without_credentials_is_told_as_the_machine_says_it(
    tables: Tables, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    roll_call = nodes.RollCall(Tables(Storage(), "s3://bucket/store"), nodes.Mark("x"), ("s3://bucket/photos",))
    (said,) = roll_call().problems
    assert said.startswith("the store cannot be used there, with the variables that `ray start` had: ")
    assert "no credentials; set AWS_ACCESS_KEY_ID" in said
