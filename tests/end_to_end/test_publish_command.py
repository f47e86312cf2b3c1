"""`arot publish` as a user meets it: a real project, processes of its own, and a Hub that speaks as the real one does."""

import shutil
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from tests.end_to_end.conftest import Project
from tests.servers.hub import Hub
from tests.servers.hub_repositories import HubError
from tests.servers.loopback import Exchange

REPO = ("dataset", "owner/clean-photos")
KEY = dg.AssetKey(["exports", "clean_photos"])
NEW = ("new", "hub-dataset", "clean_photos", "clean", "owner/clean-photos")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project whose subset ``clean`` is built."""
    project = Project(tmp_path_factory.mktemp("project"))
    project.add_examples(6)
    shutil.rmtree(project.root / "defs/classifiers")
    project.declare_dataset("demo", metrics=["cv2"], source="examples/images")
    project.arot("run", "demo")
    return project


@pytest.fixture
def world(built: Project) -> Iterator[Project]:
    """The same without any export, before and after."""
    yield built
    shutil.rmtree(built.root / "defs/exports", ignore_errors=True)


def commits(hub: Hub) -> int:
    """Commits of the repository, the one that made it included."""
    return len(hub.repositories[REPO].commits)


def test_from_the_declaration_to_the_hub_and_nothing_twice(world: Project, hub: Hub, tmp_path: Path) -> None:
    ((rows,),) = world.sql("select count(*) from clean")
    nobody = {**hub.environment(tmp_path / "nobody"), "HF_TOKEN": ""}
    owner = hub.environment(tmp_path / "owner", hub.token)

    assert "no SQL model 'claen'" in world.arot(*NEW[:3], "claen", NEW[4], "--license", "mit", status=1)
    assert "the Hub does not know this licence" in world.arot(*NEW, "--license", "free", status=1)
    assert "next: arot publish clean_photos --dry-run" in world.arot(*NEW, "--license", "cc-by-4.0")
    assert "already declared" in world.arot(*NEW, "--license", "cc-by-4.0", status=1)
    assert "Did you mean 'clean_photos'?" in world.arot("publish", "clean_foto", status=1)

    text = world.arot("publish", "clean_photos", "--dry-run", **nobody)
    assert f"clean_photos: {rows} rows" in text and "because there is no token" in text
    text = world.arot("publish", "clean_photos", status=1, **nobody)
    assert text.count("Error:") == 1 and "set HF_TOKEN" in text and not hub.requests
    assert "would be created, private" in world.arot("publish", "clean_photos", "--dry-run", **owner)
    world.arot("run", "demo", **owner)
    assert not hub.repositories, "only a person publishes"

    text = world.arot("publish", "clean_photos", **owner)
    assert f"{rows} rows, published: {hub.endpoint}/datasets/owner/clean-photos/commit/" in text
    assert commits(hub) == 2 and hub.repositories[REPO].private
    text = world.arot("publish", "clean_photos", **owner)
    assert "nothing to do, already published" in text and commits(hub) == 2
    with dg.DagsterInstance.from_config(str(world.root / ".arot" / "dagster")) as recorded:
        again, first = recorded.fetch_materializations(KEY, limit=2).records
    for record, changed in ((first, True), (again, False)):
        assert record.asset_materialization is not None
        shown = record.asset_materialization.metadata
        assert shown["dagster/row_count"].value == rows and shown["changed"].value is changed
        assert ("contact sheet" in shown) is changed
    for path in (p for p in (world.root / ".arot").rglob("*") if p.is_file()):
        assert hub.token.encode() not in path.read_bytes(), path


def test_a_picture_that_is_gone_is_one_error_and_no_commit(world: Project, hub: Hub, tmp_path: Path) -> None:
    world.arot(*NEW, "--license", "cc-by-4.0")
    ((uri,),) = world.sql("select uri from clean order by sample_id limit 1")
    Path(uri).rename(f"{uri}.away")
    text = world.arot("publish", "clean_photos", status=1, **hub.environment(tmp_path / "owner", hub.token))
    Path(f"{uri}.away").rename(uri)
    assert "1 image can no longer be read" in text and uri.rsplit("/", 1)[1] in text and "Traceback" not in text
    assert commits(hub) == 1


def test_killed_at_the_last_moment_it_left_nothing_and_the_next_one_publishes(
    world: Project, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.arot(*NEW, "--license", "cc-by-4.0", "--layout", "folder")
    owner = hub.environment(tmp_path / "owner", hub.token)
    answer, asked, killed = hub.handle, threading.Event(), threading.Event()

    def handle(exchange: Exchange) -> None:
        if "/commit/" in exchange.route and not killed.is_set():
            asked.set()
            killed.wait(60)
            raise HubError(500, None, "whoever asked is gone")
        answer(exchange)

    with monkeypatch.context() as held:
        held.setattr(hub, "handle", handle)
        process = world.start("publish", "clean_photos", **owner)
        assert asked.wait(120)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed.set()
    assert commits(hub) == 1
    assert "published:" in world.arot("publish", "clean_photos", **owner)
    assert commits(hub) == 2


def test_a_subset_that_is_not_there_is_an_error_with_its_line(world: Project) -> None:
    world.arot(*NEW, "--license", "cc-by-4.0")
    path = world.root / "defs/exports/clean_photos/defs.yaml"
    path.write_text(path.read_text().replace("subset: clean", "subset: claen"))
    told = f"{path}:4: no SQL model 'claen' is tagged `subset`. Did you mean 'clean'?"
    assert told in world.arot("publish", "clean_photos", status=1)
    assert told in (text := world.arot("run", "demo")) and "nothing to do" in text
