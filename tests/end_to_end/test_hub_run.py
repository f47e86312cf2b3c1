"""A dataset of the Hub through the commands: the same tables as from a folder, whatever is killed, and the token nowhere."""

import shutil
from pathlib import Path

import pytest

from tests.conftest import EXAMPLES
from tests.end_to_end.conftest import Project
from tests.resources.test_members import write_parquet, write_tar
from tests.servers.faults import FaultProxy, Faults
from tests.servers.hub import Hub
from tests.waiting import kill_when

PHOTOS = sorted((EXAMPLES / "photo").rglob("*.jpg"))[:36]
ROOT = "hf://datasets/owner/pictures"


@pytest.fixture
def on_hub(hub: Hub, project: Project, tmp_path: Path) -> dict[str, str]:
    """A private dataset with a folder, a tar and a Parquet file; returns the environment in which it can be read."""
    write_parquet(tmp_path / "p.parquet", [p.read_bytes() for p in PHOTOS[:12]])
    write_tar(tmp_path / "t.tar", {f"{p.stem}.jpg": p.read_bytes() for p in PHOTOS[12:24]})
    files = {f"folder/{p.name}": p.read_bytes() for p in PHOTOS[24:]}
    packed = {"p.parquet": (tmp_path / "p.parquet").read_bytes(), "t.tar": (tmp_path / "t.tar").read_bytes()}
    hub.commit(hub.create("owner/pictures", private=True), files | packed)
    project.declare_dataset("demo", source=ROOT, metrics=["cv2"], shard_size=6)
    for classifier in (project.root / "defs/classifiers").glob("*/defs.yaml"):
        classifier.unlink()
    shutil.rmtree(project.root / "dbt_like_sql" / "models")
    return hub.environment(tmp_path / "home", hub.token) | {"AROT_CACHE": str(tmp_path / "cache")}


def test_killed_and_started_again_it_ends_with_every_row_and_the_token_is_nowhere(
    hub: Hub, project: Project, on_hub: dict[str, str]
) -> None:
    for moment in (1, 3):
        process = project.start("run", "demo", **on_hub)
        kill_when(process, lambda: len(list((project.root / ".arot/store").rglob("*.parquet"))) > moment)  # noqa: B023
    project.arot("run", "demo", **on_hub)
    assert project.sql("select count(*), count(distinct sample_id) from demo.cv2 where status = 'ok'") == [(36, 36)]
    hub.requests.clear()
    assert "nothing to do" in project.arot("run", "demo", **on_hub)
    assert not any("/resolve/" in r for r in hub.requests)
    for file in (project.root / ".arot").rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert hub.token.encode() not in data and hub.signature.encode() not in data, f"{file} holds a secret"


def test_through_a_network_that_breaks_only_what_the_hub_lost_is_missing_and_it_is_retried(
    hub: Hub, project: Project, on_hub: dict[str, str]
) -> None:
    repository = hub.repositories["dataset", "owner/pictures"]
    name = f"folder/{PHOTOS[30].name}"
    lost = hub.contents.path(repository.commits[repository.branches["main"]].files[name].content_id)
    kept = lost.read_bytes()
    lost.unlink()
    faults = Faults(refuse=0.03, error=0.03, reset=0.05, half=0.05)
    with FaultProxy(hub.endpoint, faults, seed=5) as proxy:
        project.arot("run", "demo", **on_hub | {"HF_ENDPOINT": proxy.endpoint})
        assert sum(proxy.injected.values()) > 3
    assert project.sql("select count(*) from demo.cv2 where status = 'ok'") == [(35,)]
    ((reason,),) = project.sql("select reason from demo.samples where status = 'unreadable'")
    assert PHOTOS[30].name in reason and hub.signature not in reason
    lost.write_bytes(kept)
    project.arot("retry", "demo", "--reason", "unreadable", **on_hub)
    assert project.sql("select count(*) from demo.cv2 where status = 'ok'") == [(36,)]


def test_commands_on_the_hub_and_a_doctor_who_names_what_is_wrong(
    hub: Hub, project: Project, on_hub: dict[str, str]
) -> None:
    assert f"{ROOT}/t.tar" in project.arot("ls", ROOT, **on_hub)
    assert f"{PHOTOS[12].stem}.jpg" in project.arot("ls", f"{ROOT}/t.tar!/", **on_hub)
    project.arot("cp", f"{ROOT}/t.tar!/{PHOTOS[12].stem}.jpg", str(project.root / "one.jpg"), **on_hub)
    assert (project.root / "one.jpg").read_bytes() == PHOTOS[12].read_bytes()
    project.arot("cp", str(project.root / "one.jpg"), f"{ROOT}/new/one.jpg", **on_hub)
    project.arot("sync", f"{ROOT}/folder", str(project.root / "synced"), **on_hub)
    assert len(list((project.root / "synced").iterdir())) == 12
    project.arot("rm", "--yes", f"{ROOT}/new/one.jpg", **on_hub)
    assert "new/one.jpg" not in project.arot("ls", ROOT, **on_hub)
    without = {k: v for k, v in on_hub.items() if k != "HF_TOKEN"} | {"HF_TOKEN": ""}
    refused = project.arot("run", "demo", status=1, **without)
    assert "no dataset 'owner/pictures'" in refused and "HF_TOKEN" in refused and "Traceback" not in refused
    assert "HF_TOKEN" in project.arot("doctor", status=1, **without)
    wrong = project.arot("doctor", status=1, **on_hub | {"HF_TOKEN": "hf_wrongwrong"})
    assert "token" in wrong and "hf_wrongwrong" not in wrong
