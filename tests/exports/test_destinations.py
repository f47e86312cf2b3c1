"""Exports to S3 and to the Hub: N of N arrive, unchanged sends nothing, and what is cut off leaves the version before whole."""

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from arot_assets.exports.build import Outcome
from arot_assets.exports.destinations.choice import destination_of
from arot_assets.exports.destinations.hub import Sender, SentFiles
from arot_assets.exports.versions import current_receipt
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.storage.hub import client as hub_client
from resources.storage.hub.settings import HubSettings
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.conftest import Dataset
from tests.engines import Scattered
from tests.exports.training import Training, place, tree
from tests.servers.hub import Hub
from tests.servers.swift import Swift


class Cut(Exception):
    """The end of a process, in the middle of sending."""


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """The subset ``chosen`` of twelve photos."""
    dataset.run()
    return Training(dataset, tmp_path / "project")


@pytest.fixture
def s3(swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of an empty bucket, which ``Storage`` reaches by the environment."""
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://{bucket}/sets"


@pytest.fixture
def at_hub(tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A Hub, with its owner's token."""
    monkeypatch.setattr(hub_client, "FIRST_WAIT_SECONDS", 0.0)
    with hub.as_default(tmp_path / "home", hub.token):
        yield hub


def objects(swift: Swift, prefix: str) -> dict[str, bytes]:
    """Path below an s3 prefix -> content."""
    bucket, _, start = prefix.removeprefix("s3://").partition("/")
    client = swift.client()
    keys = [o["Key"] for o in client.list_objects_v2(Bucket=bucket, Prefix=f"{start}/").get("Contents", [])]
    return {k.removeprefix(f"{start}/"): client.get_object(Bucket=bucket, Key=k)["Body"].read() for k in keys}


def published(hub: Hub, name: str = "owner/set") -> dict[str, bytes]:
    """Path -> content of the newest commit of a dataset."""
    repository = hub.repositories["dataset", name]
    files = repository.commits[repository.branches["main"]].files
    return {path: hub.contents.read(file) for path, file in files.items()}


def texts_of(files: dict[str, bytes]) -> dict[str, str]:
    """sample_id -> caption of those that have a picture."""
    pictures = {p.rpartition(".")[0] for p in files if p.endswith((".jpg", ".png"))}
    return {p.rpartition("/")[2]: files[f"{p}.txt"].decode() for p in pictures}


def test_s3_gets_n_of_n_and_nothing_when_nothing_changed(
    training: Training, s3: str, swift: Swift, monkeypatch: pytest.MonkeyPatch
) -> None:
    local = tree(place(training.export(trainer_root="/data")))
    done = training.export(destination=s3, trainer_root="/data")
    there = objects(swift, done.receipt.place)
    assert done.receipt.place == f"{s3}/train/{done.receipt.version}"
    assert there == {path: data for path, data in local.items() if "/" in path}  # records stay in the store
    assert texts_of(there) == {i: caption for i, (_, caption) in training.rows().items()}

    monkeypatch.setattr(Storage, "upload", _refuse)
    assert not training.export(destination=s3, trainer_root="/data").changed
    monkeypatch.undo()


def test_an_upload_to_s3_that_is_cut_off_leaves_the_version_before_whole(
    training: Training, s3: str, swift: Swift, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = training.export(destination=s3)
    before = objects(swift, first.receipt.place)
    real = Storage.upload
    sent: list[str] = []

    def upload(self: Storage, path: Path, uri: str) -> object:
        if len(sent) >= 7:
            raise Cut
        sent.append(uri)
        return real(self, path, uri)

    with monkeypatch.context() as patch:
        patch.setattr(Storage, "upload", upload)
        with pytest.raises(Cut):
            training.export(destination=s3, quality=80, format="png", max_side=300)
    assert len(sent) >= 7 and objects(swift, first.receipt.place) == before
    assert current_receipt(training.resources.tables, "train") == first.receipt
    second = training.export(destination=s3, quality=80, format="png", max_side=300)
    assert second.changed and len(texts_of(objects(swift, second.receipt.place))) == 12
    assert objects(swift, first.receipt.place) == before


def test_the_hub_gets_n_of_n_in_one_commit_and_none_when_nothing_changed(training: Training, at_hub: Hub) -> None:
    done = _to_hub(training)
    files = published(at_hub)
    rows = [json.loads(line) for line in files["metadata.jsonl"].splitlines()]
    assert {Path(r["file_name"]).stem: r["text"] for r in rows} == {i: c for i, (_, c) in training.rows().items()}
    assert {r["file_name"] for r in rows} <= set(files) and len(rows) == 12
    repository = at_hub.repositories["dataset", "owner/set"]
    commits = len(repository.commits)
    assert done.receipt.commit == repository.branches["main"]
    assert not _to_hub(training).changed and len(repository.commits) == commits


def test_a_commit_that_is_cut_off_leaves_the_version_before_whole(
    training: Training, at_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = _to_hub(training)
    before = published(at_hub)
    with monkeypatch.context() as patch:
        patch.setattr("resources.storage.hub.commits.commit", _refuse)  # what is sent before it, no reader sees
        with pytest.raises(Cut):
            _to_hub(training, max_side=300)
    assert published(at_hub) == before and current_receipt(training.resources.tables, "train") == first.receipt
    assert _to_hub(training, max_side=300).changed
    after = published(at_hub)
    assert after.keys() == before.keys() and after != before


@pytest.mark.parametrize("fields", [{}, {"format": "png", "max_side": 300}, {"layout": "webdataset"}], ids=str)
@pytest.mark.parametrize("store", ["folder", "s3"])
def test_nodes_send_to_the_hub_what_one_process_does_in_one_commit_and_no_token_is_sent_to_them(
    dataset: Dataset,
    tmp_path: Path,
    s3: str,
    at_hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    store: str,
    fields: dict[str, str],
) -> None:
    monkeypatch.setattr("arot_assets.exports.units.SAMPLES", 5)
    monkeypatch.setattr("arot_assets.exports.destinations.hub.FILES", 4)
    training = training_in(str(tmp_path / "lake") if store == "folder" else f"{s3}/lake", dataset.source, tmp_path)
    layout = {"layout": "hf", "trainer_root": "/data", **fields}
    training.export(destination="hf://datasets/owner/alone", **layout)
    engine = Scattered()
    done = training.export(engine, destination="hf://datasets/owner/set", **layout)
    files = published(at_hub)
    assert files == published(at_hub, "owner/alone") and done.seen is not None and done.seen.whole
    repository = at_hub.repositories["dataset", "owner/set"]
    assert len(repository.commits) == len(at_hub.repositories["dataset", "owner/alone"].commits)
    assert done.receipt.commit == repository.branches["main"]
    assert [unit for unit, _ in engine.units if isinstance(unit, list)], "nodes sent files"
    sent = b"".join([*engine.works, *(said for _, said in engine.units)])
    assert at_hub.token.encode() not in sent
    left = [one.uri for one in training.resources.storage.ls(f"{training.resources.tables.root}/exports/train")]
    assert not [uri for uri in left if ".arot-tmp-" in uri and not uri.endswith(".arot-tmp-lock")]
    commits = len(repository.commits)
    assert not training.export(engine, destination="hf://datasets/owner/set", **layout).changed
    assert len(repository.commits) == commits


@pytest.mark.parametrize("store", ["folder", "s3"])
def test_files_of_nodes_without_a_token_are_sent_by_this_process_which_names_one(
    dataset: Dataset,
    tmp_path: Path,
    s3: str,
    at_hub: Hub,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    store: str,
) -> None:
    training = training_in(str(tmp_path / "lake") if store == "folder" else f"{s3}/lake", dataset.source, tmp_path)
    monkeypatch.setattr(Sender, "__call__", without_token(monkeypatch))
    done = training.export(Scattered(), layout="hf", destination="hf://datasets/owner/set")
    assert done.changed and len([path for path in published(at_hub) if path.endswith(".jpg")]) == 12
    said = [record.getMessage() for record in caplog.records if "has no token of the Hub" in record.getMessage()]
    assert said == [
        f"exports/train: machine {socket.gethostname()} has no token of the Hub, so that this process sends its files; "
        "set HF_TOKEN there"
    ]


def test_an_export_by_nodes_that_is_cut_off_leaves_the_hub_as_it_was_and_the_next_one_sends_nothing_twice(
    training: Training, at_hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("resources.storage.hub.commits.commit", _refuse)
        with pytest.raises(Cut):
            training.export(Scattered(), layout="hf", destination="hf://datasets/owner/set")
    assert not [path for path in published(at_hub) if path.endswith(".jpg")]
    sent = uploads(at_hub)
    assert training.export(Scattered(), layout="hf", destination="hf://datasets/owner/set").changed
    assert len([path for path in published(at_hub) if path.endswith(".jpg")]) == 12
    assert uploads(at_hub) == sent == 12


def uploads(hub: Hub) -> int:
    """How many contents it was sent."""
    return sum(count for request, count in hub.requests.items() if request.startswith("PUT "))


def training_in(store: str, source: Path, folder: Path) -> Training:
    """The subset ``chosen`` of the photos of a source, in a store of its own."""
    tables = Tables(Storage(), store)
    dataset = Dataset(Resources(tables.storage, tables, Warehouse(tables), Models(device="cpu")), source)
    dataset.run()
    return Training(dataset, folder / "sql")


def without_token(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The work of a sender on a machine without a token."""
    work = Sender.__call__

    def call(sender: Sender, paths: Sequence[str]) -> SentFiles:
        with monkeypatch.context() as patch:
            patch.setattr(HubSettings, "token", lambda _: None)
            return work(sender, paths)

    return call


def _to_hub(training: Training, **fields: object) -> Outcome:
    return training.export(layout="hf", destination="hf://datasets/owner/set", **fields)


def _refuse(*_args: object, **_kwargs: object) -> None:
    raise Cut


def test_what_only_one_process_can_write_says_so(training: Training, tmp_path: Path, at_hub: Hub) -> None:
    def why(destination: str | None, **fields: str) -> str:
        return destination_of(training.declaration(destination=destination, **fields), training.resources).only_here()

    assert why(None) == "", "all machines share the store"
    assert why(str(tmp_path / "aside")) == (
        f"'{tmp_path}/aside/train' is a folder of this machine; all write without a `destination`, into the store, or to S3"
    )
    assert why("hf://datasets/owner/set") == ""
    assert why("s3://bucket/sets") == why("s3://bucket/sets", mask="covered") == ""


def test_what_a_killed_export_left_in_s3_is_removed_when_it_is_old(
    training: Training, s3: str, swift: Swift, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = f"{s3}/train/.arot-tmp-0/images/a.jpg"
    training.resources.storage.write(left, b"half of an export")
    first = training.export(Scattered(), destination=s3)
    assert len(texts_of(objects(swift, first.receipt.place))) == 12
    assert ".arot-tmp-0/images/a.jpg" in objects(swift, f"{s3}/train"), "another process may be at it"
    monkeypatch.setattr("arot_assets.exports.destinations.remote.LEFT_SECONDS", -60)
    second = training.export(Scattered(), destination=s3, max_side=300)
    versions = {first.receipt.version, second.receipt.version}
    assert {path.partition("/")[0] for path in objects(swift, f"{s3}/train")} == versions
