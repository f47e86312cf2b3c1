"""``hf://owner/repo`` without a path: a dataset of the Hub as a table, and a table as a dataset."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

from resources import notebook as nb
from resources.notebook.table_files import write_parquet as parquet
from resources.storage import StorageError
from tests.resources.test_members import PICTURES, write_parquet
from tests.servers.hub import Hub
from tests.servers.hub_repositories import Repository


@pytest.fixture(autouse=True)
def owner(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The client of this process uses the test Hub with its owner's token."""
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    with hub.as_default(tmp_path / "home", hub.token):
        yield


@pytest.fixture
def repository(hub: Hub) -> Repository:
    """An empty dataset ``owner/set``."""
    return hub.create("owner/set")


def rows(*numbers: int) -> bytes:
    """A Parquet file."""
    return parquet({"n": list(numbers), "t": [str(n) for n in numbers]})


def test_splits_are_found_by_the_names_of_files(hub: Hub, repository: Repository) -> None:
    files = {"data/train-00000-of-00002.parquet": rows(1), "data/train-00001-of-00002.parquet": rows(2, 3)}
    hub.commit(
        repository, {**files, "data/val.parquet": rows(4), "constraints/contest.parquet": rows(9), "x.csv": b"n\n8\n"}
    )
    assert list(nb.loads("hf://owner/set")["n"]) == [9, 1, 2, 3]  # neither "constraints" nor "contest" is a split
    assert nb.loads("hf://datasets/owner/set", split="validation", as_="arrow").to_pylist() == [{"n": 4, "t": "4"}]
    assert nb.loads("hf://owner/set", split="validation", columns=["t"], as_="arrow").to_pylist() == [{"t": "4"}]
    with pytest.raises(StorageError, match=r"no split .test.*of train, validation"):
        nb.loads("hf://owner/set", split="test")


def test_card_says_which_files_are_which_split(hub: Hub, repository: Repository) -> None:
    card = """---
configs:
- config_name: small
  data_files:
  - {split: train, path: "s/*.parquet"}
  - {split: test, path: ["t/one.parquet"]}
- config_name: large
  data_files: "**/l*.parquet"
---
# Set
"""
    files = {"s/b.parquet": rows(2), "s/a.parquet": rows(1), "t/one.parquet": rows(3), "l/large.parquet": rows(4)}
    hub.commit(repository, {**files, "README.md": card.encode()})
    assert list(nb.loads("hf://owner/set", config="small")["n"]) == [1, 2]
    assert list(nb.loads("hf://owner/set", config="small", split="test")["n"]) == [3]
    assert list(nb.loads("hf://owner/set", config="large")["n"]) == [4]
    with pytest.raises(StorageError, match="several configs; pass config= with one of small, large"):
        nb.loads("hf://owner/set")


def test_revision_is_a_branch_a_tag_or_a_commit(hub: Hub, repository: Repository) -> None:
    repository.tags["v1"] = hub.commit(repository, {"train.parquet": rows(1)}).id
    hub.commit(repository, {"train.parquet": rows(2)})
    assert [nb.loads("hf://owner/set", **kw)["n"][0] for kw in ({}, {"revision": "v1"})] == [2, 1]
    assert nb.loads("hf://owner/set@v1")["n"][0] == 1
    with pytest.raises(StorageError, match="name different revisions"):
        nb.loads("hf://owner/set@v1", revision="main")
    with pytest.raises(StorageError, match="no revision 'v9'"):
        nb.loads("hf://owner/set", revision="v9")


def test_streaming_gives_rows_with_pictures_and_fetches_as_it_goes(
    hub: Hub, repository: Repository, tmp_path: Path
) -> None:
    write_parquet(tmp_path / "p.parquet", [PICTURES[0].read_bytes(), None])
    hub.commit(
        repository, {"data/train-0.parquet": (tmp_path / "p.parquet").read_bytes(), "data/train-1.parquet": b"broken"}
    )
    stream = nb.loads("hf://owner/set", streaming=True)
    first, second = next(stream), next(stream)
    assert first["image"].format == "JPEG" and first["caption"] == "image 0" and second["image"] is None
    with pytest.raises(StorageError, match=r"train-1\.parquet.*as Parquet"):
        next(stream)


def test_repository_without_tables_says_so(hub: Hub, repository: Repository) -> None:
    hub.commit(repository, {"a.jpg": PICTURES[0].read_bytes()})
    with pytest.raises(StorageError, match="contains no tables"):
        nb.loads("hf://owner/set")


def test_table_is_saved_as_a_private_data_set_in_one_commit(hub: Hub) -> None:
    frame = pd.DataFrame({"n": [1, 2]})
    where = nb.saves(frame, "hf://owner/new")
    made = hub.repositories["dataset", "owner/new"]
    assert made.private and len(made.commits) == 2 and where == f"hf://datasets/owner/new@{made.branches['main']}"
    assert nb.saves(frame, "hf://owner/new") == where and len(made.commits) == 2
    nb.saves(pa.table({"n": [3]}), "hf://owner/new", split="test")
    assert list(nb.loads("hf://owner/new")["n"]) == [1, 2] and list(nb.loads("hf://owner/new", split="test")["n"]) == [
        3
    ]
    with pytest.raises(StorageError, match="already has a split test"):
        nb.saves(frame, "hf://owner/new", split="test", create_only=True)
    with pytest.raises(StorageError, match="cannot be a split"):
        nb.saves(frame, "hf://owner/new", split="../x")


def test_files_of_the_old_split_do_not_stay_beside_the_new_one(hub: Hub, repository: Repository) -> None:
    files = {f"data/train-{n:05}-of-00002.parquet": rows(n) for n in range(2)}
    hub.commit(repository, {**files, "data/test-00000-of-00001.parquet": rows(7)})
    nb.saves({"n": [5]}, "hf://owner/set")
    assert nb.ls("hf://owner/set/data", relative=True) == [
        "test-00000-of-00001.parquet",
        "train-00000-of-00001.parquet",
    ]
    assert list(nb.loads("hf://owner/set")["n"]) == [5]


def test_public_stays_public_and_public_can_be_asked_for(hub: Hub, repository: Repository) -> None:
    nb.saves({"n": [1]}, "hf://owner/set")
    assert not repository.private
    nb.saves({"n": [1]}, "hf://owner/open", private=False)
    assert not hub.repositories["dataset", "owner/open"].private


def test_without_a_token_saving_is_one_clear_error(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as without:  # undone before the variables of the whole test are
        without.delenv("HF_TOKEN")
        with pytest.raises(StorageError, match="HF_TOKEN") as caught:
            nb.saves({"n": [1]}, "hf://owner/new")
    assert caught.value.kind == "denied" and ("dataset", "owner/new") not in hub.repositories
