"""A dataset of the Hugging Face Hub as a source: image folders, Parquet, tars; each row at the commit that showed it so."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arot_assets.classifiers.label_query import folder_query
from arot_assets.datasets.inventory import COMMIT
from arot_assets.declarations import ImageDataset
from resources.storage import StorageError
from resources.storage.hub import client as hub_client
from resources.tables import TableRef
from sensors.source import describe_change, source_sensor
from tests.conftest import EXAMPLES, Dataset
from tests.resources.test_members import PICTURES, write_parquet, write_tar
from tests.servers.hub import Hub
from tests.servers.hub_repositories import Repository

MakeDataset = Callable[..., Dataset]
ROOT = "hf://datasets/owner/pictures"
MORE = sorted((EXAMPLES / "photo").rglob("*.jpg"))[6:12]


@pytest.fixture(autouse=True)
def owner(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client of this process uses the test Hub; nothing is kept in the user's own cache."""
    monkeypatch.setattr(hub_client, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    with hub.as_default(tmp_path / "home"):
        yield


@pytest.fixture
def repository(hub: Hub, tmp_path: Path) -> Repository:
    """Two folders of images with captions, six rows of Parquet, a tar with captions, and what every repository has."""
    write_parquet(tmp_path / "p.parquet", [p.read_bytes() for p in PICTURES])
    write_tar(
        tmp_path / "t.tar",
        {"0001.jpg": MORE[0].read_bytes(), "0001.txt": b"in a tar", "0002.jpg": MORE[1].read_bytes()},
    )
    lines = [{"file_name": "cats/1.jpg", "text": "a cat", "score": 3}, {"file_name": "gone.jpg", "text": "nothing"}]
    made = hub.create("owner/pictures")
    hub.commit(
        made,
        {
            "README.md": b"# Images",
            "LICENSE": b"MIT",
            "folder/metadata.jsonl": "\n".join(map(json.dumps, lines)).encode(),
            "folder/cats/1.jpg": MORE[2].read_bytes(),
            "folder/dogs/1.jpg": MORE[3].read_bytes(),
            "data/train-00000.parquet": (tmp_path / "p.parquet").read_bytes(),
            "tars/0000.tar": (tmp_path / "t.tar").read_bytes(),
        },
    )
    return made


def present(dataset: Dataset) -> dict[str, str]:
    """Path of each present object -> the commit in its URI."""
    found = [u for (u,) in dataset.sql("select uri from d.inventory where state = 'present'")]
    return {u[len(ROOT) + 42 :]: u[len(ROOT) + 1 : len(ROOT) + 41] for u in found}


def test_folders_parquet_and_tars_are_rows_with_captions(make_dataset: MakeDataset, repository: Repository) -> None:
    dataset = make_dataset(ROOT)
    assert dataset.inventory().new == 10
    head = repository.branches["main"]
    assert present(dataset) == dict.fromkeys(
        [
            *(f"data/train-00000.parquet!/row/{n:07}/image" for n in range(6)),
            "folder/cats/1.jpg",
            "folder/dogs/1.jpg",
            "tars/0000.tar!/0001.jpg",
            "tars/0000.tar!/0002.jpg",
        ],
        head,
    )
    footer = dataset.resources.tables.footer(TableRef("d", "inventory"))
    assert footer[COMMIT] == head and footer["root"] == ROOT
    dataset.samples()
    dataset.metrics("cv2")
    rows = dataset.sql(
        "select caption, count(*), bool_and(status = 'ok') from d.samples join d.cv2 using (sample_id, status) group by 1 order by 1"
    )
    assert rows == [
        ("a cat", 1, True),
        *((f"image {n}", 1, True) for n in range(6)),
        ("in a tar", 1, True),
        (None, 2, True),
    ]
    assert dataset.sql("select sidecar from d.samples where caption = 'a cat'") == [('{"score":3}',)]


def test_nothing_is_fetched_when_nothing_changed(hub: Hub, make_dataset: MakeDataset, repository: Repository) -> None:
    dataset = make_dataset(ROOT)
    dataset.run("cv2")
    hub.requests.clear()
    assert not dataset.inventory().differs
    assert set(dataset.samples().values()) == {0} and dataset.metrics("cv2")["cv2"].computed == 0
    fetched = [r for r in hub.requests if "/resolve/" in r and "metadata.jsonl" not in r]
    assert fetched == []


def test_new_commit_costs_only_what_changed(
    hub: Hub, make_dataset: MakeDataset, repository: Repository, tmp_path: Path
) -> None:
    dataset = make_dataset(ROOT)
    dataset.run("cv2")
    old = repository.branches["main"]
    assert describe_change(dataset.resources.storage, dataset.resources.tables, dataset.declaration) is None
    write_parquet(tmp_path / "q.parquet", [MORE[4].read_bytes()])
    new = hub.commit(
        repository,
        {
            "data/train-00001.parquet": (tmp_path / "q.parquet").read_bytes(),
            "folder/dogs/1.jpg": MORE[5].read_bytes(),
            "README.md": b"# More",
        },
    ).id
    found = describe_change(dataset.resources.storage, dataset.resources.tables, dataset.declaration)
    assert found is not None and new[:8] in found.text
    hub.requests.clear()
    plan = dataset.inventory()
    assert (plan.new, plan.changed, plan.gone, plan.unchanged) == (2, 0, 1, 9)
    assert not any("0000.tar" in r or "train-00000" in r for r in hub.requests if "/resolve/" in r)
    commits = present(dataset)
    assert commits["folder/dogs/1.jpg"] == commits["data/train-00001.parquet!/row/0000000/image"] == new
    assert {c for p, c in commits.items() if p != "folder/dogs/1.jpg" and "00001.parquet" not in p} == {old}
    assert sum(dataset.samples().values()) == 2
    assert dataset.metrics("cv2")["cv2"].computed == 2
    assert describe_change(dataset.resources.storage, dataset.resources.tables, dataset.declaration) is None
    assert dataset.sql("select count(*) from d.samples where status <> 'ok'") == [(0,)]


def test_rows_can_be_measured_after_the_branch_moved_on(
    hub: Hub, make_dataset: MakeDataset, repository: Repository
) -> None:
    dataset = make_dataset(ROOT)
    dataset.inventory()
    hub.commit(repository, dict.fromkeys(("folder/cats/1.jpg", "folder/dogs/1.jpg", "tars/0000.tar")))
    dataset.samples()
    assert dataset.metrics("cv2")["cv2"].computed == 10


def test_history_that_was_squashed_is_pinned_anew(hub: Hub, make_dataset: MakeDataset, repository: Repository) -> None:
    dataset = make_dataset(ROOT)
    dataset.run("cv2")
    old = repository.branches["main"]
    new = hub.commit(repository, {"README.md": b"# Squashed"}).id
    del repository.commits[old]
    plan = dataset.inventory()
    assert (plan.new, plan.gone) == (10, 10) and set(present(dataset).values()) == {new}
    dataset.samples()
    assert dataset.metrics("cv2")["cv2"].computed == 0, "measurements follow by content"


def test_pinned_revision_never_changes(hub: Hub, make_dataset: MakeDataset, repository: Repository) -> None:
    repository.tags["v1"] = repository.branches["main"]
    dataset = make_dataset(f"{ROOT}@v1/folder")
    dataset.inventory()
    hub.commit(repository, {"folder/more.jpg": MORE[0].read_bytes()})
    assert not dataset.inventory().differs
    assert set(present(dataset)) == {"folder/cats/1.jpg", "folder/dogs/1.jpg"}


def test_only_archives_that_are_included_are_opened(make_dataset: MakeDataset, repository: Repository) -> None:
    dataset = make_dataset(ROOT, archives={"include": ["data/train-*"], "caption_column": "caption"})
    dataset.inventory()
    assert not any(p.startswith("tars/") for p in present(dataset)) and len(present(dataset)) == 8
    wrong = make_dataset(ROOT, name="e", archives={"caption_column": "story"})
    with pytest.raises(StorageError, match="no column 'story'; it has caption"):
        wrong.inventory()


@pytest.mark.parametrize("on_hub", [True, False])
def test_broken_archives_are_rows_with_a_reason_and_the_rest_arrives(
    hub: Hub, make_dataset: MakeDataset, repository: Repository, tmp_path: Path, on_hub: bool
) -> None:
    folder = tmp_path / "archives"
    folder.mkdir()
    write_tar(folder / "a.tar", {"1.jpg": MORE[0].read_bytes(), "2.jpg": MORE[1].read_bytes()})
    whole = (folder / "a.tar").read_bytes()
    (folder / "a.tar").write_bytes(whole[: len(whole) - 10240 - 4000])
    (folder / "b.parquet").write_bytes(b"PAR1 no parquet file PAR1" * 4)
    pq.write_table(pa.table({"n": [1]}), folder / "c.parquet")
    write_parquet(folder / "d.parquet", [None, MORE[2].read_bytes()])
    if on_hub:
        made = hub.create("owner/broken")
        hub.commit(made, {p.name: p.read_bytes() for p in folder.iterdir()})
    dataset = make_dataset("hf://datasets/owner/broken" if on_hub else folder, archives={})
    dataset.run("cv2")
    rows = {
        uri.rpartition("/broken" if on_hub else "/archives")[2].rpartition("a.tar")[1] + uri.rpartition("!/")[2]: (
            status,
            reason,
        )
        for uri, status, reason in dataset.sql("select uri, status, reason from d.samples")
    }
    assert {n: s for n, (s, _) in rows.items()} == {
        "a.tar1.jpg": "ok",
        "a.tar": "unreadable",
        "": "unreadable",
        "row/0000000/image": "unreadable",
        "row/0000001/image": "ok",
    }
    assert "truncated in '2.jpg'" in rows["a.tar"][1] and "b.parquet" in rows[""][1]
    assert "cell is empty" in rows["row/0000000/image"][1]
    assert not dataset.inventory().differs


def test_archives_of_a_folder_are_opened_only_if_it_says_so(make_dataset: MakeDataset, tmp_path: Path) -> None:
    folder = tmp_path / "archives"
    folder.mkdir()
    write_tar(folder / "a.tar", {"1.jpg": MORE[0].read_bytes(), "1.txt": b"caption"})
    (folder / "plain.jpg").write_bytes(MORE[1].read_bytes())
    assert make_dataset(folder).inventory().new == 1
    dataset = make_dataset(folder, name="e", archives={})
    dataset.run("cv2")
    assert dataset.sql("select caption from e.samples where status = 'ok' order by 1") == [("caption",), (None,)]
    storage, tables = dataset.resources.storage, dataset.resources.tables
    assert describe_change(storage, tables, dataset.declaration) is None
    write_tar(folder / "a.tar", {"1.jpg": MORE[0].read_bytes(), "3.jpg": MORE[3].read_bytes()})
    assert describe_change(storage, tables, dataset.declaration) is not None
    plan = dataset.inventory()
    assert (plan.new, plan.changed) == (1, 1)


def test_folders_are_labels_though_commits_are_in_the_addresses(
    make_dataset: MakeDataset, hub: Hub, repository: Repository
) -> None:
    dataset = make_dataset(f"{ROOT}/folder")
    dataset.run()
    hub.commit(repository, {"folder/cats/2.jpg": MORE[4].read_bytes()})
    dataset.run()
    rows = dataset.sql(f"select label, count(*) from ({folder_query('d', f'{ROOT}/folder', 1)}) group by 1 order by 1")
    assert rows == [("cats", 2), ("dogs", 1)]


def test_sensor_asks_for_an_inventory_once_a_commit(
    hub: Hub, make_dataset: MakeDataset, repository: Repository
) -> None:
    dataset = make_dataset(ROOT)
    dataset.inventory()
    sensor = source_sensor(dataset.declaration)
    resources = {"storage": dataset.resources.storage, "tables": dataset.resources.tables}

    def tick(instance: dg.DagsterInstance) -> dg.SensorResult:
        with dg.build_sensor_context(instance, resources=resources) as context:
            result = sensor(context)
        assert isinstance(result, dg.SensorResult)
        return result

    with dg.DagsterInstance.ephemeral() as instance:
        hub.requests.clear()
        assert not tick(instance).run_requests
        assert sum(hub.requests.values()) == 1, "one request a look, however large the repository"
        hub.commit(repository, {"folder/new.jpg": MORE[0].read_bytes()})
        (request,) = tick(instance).run_requests or ()
        assert request.asset_selection == [dg.AssetKey(["d", "inventory"])]
        dataset.inventory()
        assert not tick(instance).run_requests


def test_declaration_names_what_is_wrong_with_an_address() -> None:
    with pytest.raises(ValueError, match="does not name a repository"):
        ImageDataset.model_validate({"name": "d", "source": "hf://nobody"})


def test_repository_that_is_not_there_is_one_clear_error(make_dataset: MakeDataset) -> None:
    with pytest.raises(StorageError, match=r"no dataset 'owner/nope'.*HF_TOKEN"):
        make_dataset("hf://datasets/owner/nope").inventory()
