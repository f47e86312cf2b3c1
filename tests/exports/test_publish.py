"""A subset becomes a dataset of the Hub: in one commit, with the original bytes, and only when something changed."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from arot_assets.exports import publish as publishing
from arot_assets.exports import repository, rows
from arot_assets.exports.errors import ExportError
from arot_assets.exports.publish import preview, publish
from resources.storage import StorageError
from tests.conftest import Dataset
from tests.exports.conftest import REPO, SUBSET, Exporter
from tests.servers.loopback import Exchange

LAYOUTS = pytest.mark.parametrize("layout", ["parquet", "folder"])
RICH = """{{ config(tags=['subset']) }}
select samples.sample_id, samples.width, samples.ingested_at::date = '1999-01-01' as old, [1.5, width]::float[2] as pair,
    {'a': width, 'b': [bytes]} as inner, 3::decimal(8, 2) as price, samples.tags, null::text as nothing,
    (width % 200)::utinyint as small, timestamptz '2026-01-02 03:04:05+00' as moment, 'x'::enum('x', 'y') as letter,
    uuid '6f9619ff-8b86-d011-b42d-00cf4fc964ff' as uuid, width::hugeint as huge, '[1]'::json as listed, time '10:11:12' as clock,
    [[[width]]] as deep, [{'x': 1::tinyint}] as structs, 'b'::blob as raw, 0.5::double as half, [null, 'a'] as holes
from {{ source('d', 'samples') }} as samples
where samples.status = 'ok'  -- decodable
"""
LOAD = """
import hashlib, json, sys
from datasets import Image, load_dataset
whole = load_dataset(sys.argv[1], split='train')
bare = whole.cast_column('image', Image(decode=False))
streamed = next(iter(load_dataset(sys.argv[1], split='train', streaming=True)))
print(json.dumps({
    'features': {k: repr(v) for k, v in whole.features.items()},
    'sizes': [row['image'].size for row in whole],
    'rows': [{k: v for k, v in row.items() if k not in ('image', 'moment')} for row in whole],
    'originals': {row['sample_id']: hashlib.sha256(row['image']['bytes'] or open(row['image']['path'], 'rb').read()).hexdigest()
                  for row in bare},
    'streamed': streamed['sample_id'],
}, default=str))
"""


def load(exporter: Exporter, home: Path) -> dict[str, Any]:
    """What the library ``datasets`` makes of it, in a process that knows nothing but the Hub."""
    done = subprocess.run(
        [sys.executable, "-c", LOAD, REPO],
        env={**os.environ, **exporter.hub.environment(home, exporter.hub.token)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def hold(exporter: Exporter, monkeypatch: pytest.MonkeyPatch, before: Callable[[], None]) -> None:
    """Let something happen right before the Hub takes the first commit."""
    answer, waiting = exporter.hub.handle, [before]

    def handle(exchange: Exchange) -> None:
        if exchange.command == "POST" and "/commit/" in exchange.route and waiting:
            waiting.pop()()
        answer(exchange)

    monkeypatch.setattr(exporter.hub, "handle", handle)


@LAYOUTS
def test_the_library_datasets_loads_what_was_published(exporter: Exporter, layout: str, tmp_path: Path) -> None:
    exporter.select(RICH)
    done = exporter.publish(layout=layout)
    found = load(exporter, tmp_path / "reader")
    originals = exporter.originals()
    assert done.rows == len(found["rows"]) == len(originals) == 12
    assert found["originals"] == {i: hashlib.sha256(data).hexdigest() for i, data in originals.items()}
    assert found["features"] == {
        "image": "Image(mode=None, decode=True)",
        "sample_id": "Value('string')",
        "width": "Value('int64')",
        "old": "Value('bool')",
        "pair": "List(Value('float32'))",
        "inner": "{'a': Value('int64'), 'b': List(Value('int64'))}",
        "price": "Value('decimal128(8, 2)')",
        "tags": "List(Value('string'))",
        "nothing": "Value('string')",
        "small": "Value('uint8')",
        "moment": "Value('timestamp[us, tz=UTC]')",
        "letter": "Value('string')",
        "uuid": "Value('string')",
        "huge": "Value('decimal128(38, 0)')",
        "listed": "Value('string')",
        "clock": "Value('time64[us]')",
        "deep": "List(List(List(Value('int64'))))",
        "structs": "List({'x': Value('int8')})",
        "raw": "Value('binary')",
        "half": "Value('float64')",
        "holes": "List(Value('string'))",
        "caption": "Value('string')",
    }
    first, size = found["rows"][0], found["sizes"][0]
    assert first["pair"] == [1.5, size[0]] and first["inner"] == {
        "a": size[0],
        "b": [len(originals[first["sample_id"]])],
    }
    assert first["letter"] == "x" and first["price"] == "3.00" and first["nothing"] is None and first["tags"]
    assert found["streamed"] == first["sample_id"] == min(originals)


def test_a_repository_is_made_private_unless_told_otherwise(exporter: Exporter) -> None:
    exporter.publish()
    assert exporter.repository.private
    exporter.publish(private=False)
    assert exporter.repository.private
    exporter.publish(repo="owner/open", private=False)
    assert not exporter.hub.repositories["dataset", "owner/open"].private


def test_nothing_meant_to_be_private_goes_to_a_public_repository(exporter: Exporter) -> None:
    exporter.hub.create(REPO)
    with pytest.raises(ExportError, match=r"'owner/photos' is public; set `private: false`"):
        exporter.publish()
    assert exporter.commits() == 1


@LAYOUTS
def test_unchanged_data_makes_no_commit_and_reads_no_picture(exporter: Exporter, layout: str) -> None:
    first = exporter.publish(layout=layout)
    shutil.rmtree(exporter.dataset.source)
    again = exporter.publish(layout=layout)
    assert first.changed and not again.changed
    assert again.commit == first.commit and again.rows == 12 and again.url == first.url
    assert exporter.commits() == 2


@LAYOUTS
def test_changed_rows_make_one_commit_that_deletes_what_is_no_part_any_more(
    exporter: Exporter, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "GROUP_ROWS", 2)
    fields = {"layout": layout, "shard_megabytes": 0.3}
    exporter.publish(**fields)
    exporter.hub.commit(exporter.repository, {"notes.txt": b"mine", "data/extra.txt": b"mine", "train/my.txt": b"mine"})
    before = exporter.files()
    exporter.select(SUBSET, least=110)
    kept = exporter.originals()
    assert 0 < len(kept) < 12
    done = exporter.publish(**fields)
    after = exporter.files()
    assert done.changed and done.rows == len(kept)
    assert exporter.commits() == 4
    assert {"notes.txt", "data/extra.txt", "train/my.txt", ".gitattributes"} < set(after)
    data = {p for p in after if p.endswith((".parquet", ".jpg"))}
    if layout == "folder":
        assert data == {"train/metadata.parquet", *(f"train/{i[:2]}/{i}.jpg" for i in kept)}
    else:
        count = len(data)
        assert data == {f"data/train-{n:05d}-of-{count:05d}.parquet" for n in range(count)}
        assert count < len([p for p in before if p.endswith(".parquet")])


def test_another_layout_or_split_replaces_the_files_of_the_first(exporter: Exporter) -> None:
    exporter.publish()
    exporter.publish(layout="folder", split="validation")
    files = exporter.files()
    assert not [p for p in files if p.startswith("data/")] and "validation/metadata.parquet" in files
    assert exporter.commits() == 3


def test_folder_sends_only_pictures_that_the_repository_does_not_have(exporter: Exporter) -> None:
    exporter.select(SUBSET, least=110)
    exporter.publish(layout="folder")
    for (uri,) in exporter.dataset.sql("select s.uri from bright join d.samples s using (sample_id)"):
        Path(uri).unlink()  # nobody needs to read it again
    exporter.hub.requests.clear()
    exporter.select(SUBSET)
    exporter.publish(layout="folder")
    sent = [r for r in exporter.hub.requests if r.startswith("PUT /lfs-storage/")]
    assert 1 < len(sent) < 12
    assert len([p for p in exporter.files() if p.endswith(".jpg")]) == 12


def test_pictures_lie_in_row_groups_and_files_of_bounded_size(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "GROUP_ROWS", 3)
    exporter.publish(shard_megabytes=0.4)
    files = {p: pq.ParquetFile(io.BytesIO(d)) for p, d in exporter.files().items() if "parquet" in p}
    assert len(files) > 1
    ids = []
    for file in files.values():
        groups = [file.metadata.row_group(n) for n in range(file.num_row_groups)]
        assert all(g.num_rows <= 3 for g in groups) and sum(g.total_byte_size for g in groups) < 450_000
        ids += file.read(["sample_id"])["sample_id"].to_pylist()
    assert ids == sorted(exporter.originals())


def test_the_same_data_at_another_place_gives_the_same_files(
    exporter: Exporter, tmp_path: Path, make_dataset: Callable[..., Dataset]
) -> None:
    exporter.publish()
    first = exporter.files()
    elsewhere = tmp_path / "elsewhere" / "source"
    shutil.copytree(exporter.dataset.source, elsewhere)
    shutil.rmtree(tmp_path / "store")
    other = make_dataset(elsewhere, shard_size=7)
    other.run("cv2")
    exporter.select(SUBSET)
    done = exporter.publish(repo="owner/again")
    again = exporter.hub.repositories["dataset", "owner/again"].commits[done.commit].files
    for path in ("data/train-00000-of-00001.parquet", "arot.json"):
        assert exporter.hub.contents.read(again[path]) == first[path]


@LAYOUTS
def test_a_picture_that_is_gone_stops_everything_before_the_commit(
    exporter: Exporter, layout: str, remove_one: Callable[[], str]
) -> None:
    remove_one()
    other = next(p for p in sorted(exporter.dataset.source.rglob("*.jpg")))
    other.write_bytes(other.read_bytes() + b"\0")
    with pytest.raises(ExportError) as told:
        exporter.publish(layout=layout)
    text = str(told.value)
    assert "2 images can no longer be read, nothing was published" in text
    assert "not_found" in text and f"{other}: changed: " in text
    assert exporter.commits() == 1


@LAYOUTS
def test_pictures_that_are_gone_can_be_left_out_are_counted_and_come_back(
    exporter: Exporter, layout: str, remove_one: Callable[[], str]
) -> None:
    shutil.copytree(exporter.dataset.source, exporter.folder / "kept")
    lost = remove_one()
    done = exporter.publish(layout=layout, on_missing="skip")
    assert done.rows == 11 and done.left_out == 1
    card = exporter.files()["README.md"].decode()
    assert "num_examples: 11" in card and "their image could no longer be read | 1 |" in card
    assert lost not in str(list(exporter.files()))
    assert not exporter.publish(layout=layout, on_missing="skip").changed
    shutil.copytree(exporter.folder / "kept", exporter.dataset.source, dirs_exist_ok=True)
    back = exporter.publish(layout=layout, on_missing="skip")
    assert back.changed and back.rows == 12 and back.left_out == 0
    assert "left out" not in exporter.files()["README.md"].decode()


def test_a_source_that_is_gone_altogether_never_empties_the_data_set(exporter: Exporter) -> None:
    exporter.publish()
    shutil.rmtree(exporter.dataset.source)
    with pytest.raises(ExportError, match="12 images"):
        exporter.publish(split="other", on_missing="skip")
    assert exporter.commits() == 2


def test_what_others_commit_meanwhile_stays(exporter: Exporter, monkeypatch: pytest.MonkeyPatch) -> None:
    exporter.publish()
    exporter.select(SUBSET, least=110)
    edited = exporter.files()["README.md"] + b"\ntheir words\n"
    theirs = {"notes.txt": b"theirs", "README.md": edited}
    hold(exporter, monkeypatch, lambda: exporter.hub.commit(exporter.repository, theirs) and None)
    done = exporter.publish()
    files = exporter.files()
    assert done.changed and files["notes.txt"] == b"theirs" and files["README.md"].endswith(b"\ntheir words\n")
    assert exporter.commits() == 4


@LAYOUTS
@pytest.mark.parametrize("damage", [None, b"broken"])
def test_files_that_somebody_deleted_or_broke_are_mended(exporter: Exporter, layout: str, damage: bytes | None) -> None:
    exporter.publish(layout=layout)
    data = [p for p in exporter.files() if p.endswith((".jpg", ".parquet"))]
    for path in (data[0], data[-1]):
        whole = exporter.files()[path]
        exporter.hub.commit(exporter.repository, {path: damage})
        assert exporter.publish(layout=layout).changed
        assert exporter.files()[path] == whole


def test_data_that_was_not_published_from_here_is_not_touched(exporter: Exporter) -> None:
    exporter.hub.create(REPO, private=True)
    exporter.hub.commit(exporter.repository, {"data/train-00000-of-00002.parquet": b"theirs"})
    with pytest.raises(
        ExportError, match=r"contains 1 files that were not published from here \(data/train-00000-of-00002"
    ):
        exporter.publish()
    assert exporter.commits() == 2


def test_a_branch_is_made_and_the_main_one_left_alone(exporter: Exporter) -> None:
    exporter.publish(revision="v2")
    assert set(exporter.repository.branches) == {"main", "v2"}
    assert [p for p in exporter.files("main") if p.endswith(".parquet")] == []
    assert [p for p in exporter.files("v2") if p.endswith(".parquet")]
    assert not exporter.publish(revision="v2").changed


def test_without_a_token_nothing_is_begun(exporter: Exporter, tmp_path: Path) -> None:
    shutil.rmtree(exporter.dataset.source)
    with exporter.hub.as_default(tmp_path / "nobody"):
        with pytest.raises(StorageError, match=r"no Hugging Face token .* set HF_TOKEN .* or run `hf auth login`"):
            exporter.publish()
        assert (
            "because there is no token" in preview(exporter.declaration(), exporter.project, exporter.resources).outcome
        )
    assert not exporter.hub.requests and not exporter.hub.repositories


def test_a_wrong_token_and_another_s_repository_are_clear_errors(exporter: Exporter, tmp_path: Path) -> None:
    exporter.hub.create("owner/open")
    shutil.rmtree(exporter.dataset.source)  # it is not even looked at
    with exporter.hub.as_default(tmp_path / "wrong", "hf_wrongwrongwrong"):
        with pytest.raises(StorageError, match="does not recognize this token") as told:
            exporter.publish()
        assert "hf_wrong" not in str(told.value)
    with exporter.hub.as_default(tmp_path / "other", exporter.hub.other_token):
        with pytest.raises(StorageError, match="this token has no permission for that"):
            exporter.publish()
        with pytest.raises(StorageError, match="this token has no permission for that"):
            exporter.publish(repo="owner/open", private=False)
    assert not [r for r in exporter.hub.requests if "lfs" in r]


def test_a_dry_run_says_what_would_be_written_and_writes_nothing(exporter: Exporter) -> None:
    def outcome(**fields: Any) -> str:
        found = preview(exporter.declaration(**fields), exporter.project, exporter.resources)
        assert found.rows == len(exporter.originals())
        assert found.file_bytes == sum(map(len, exporter.originals().values()))
        return found.outcome

    assert outcome() == "'owner/photos' does not exist; it would be created, private"
    assert not exporter.hub.repositories
    exporter.publish()
    assert outcome() == "'owner/photos' has these rows already"
    assert "branch would be created" in outcome(revision="v2")
    exporter.select(SUBSET, least=110)
    assert outcome() == "'owner/photos' has different rows: one commit"
    assert exporter.commits() == 2


def test_a_subset_that_is_older_than_its_tables_is_not_published(exporter: Exporter) -> None:
    exporter.dataset.samples(retry="")
    (exporter.folder / "dbt_project.yml").write_text("name: small\nprofile: small\nvars:\n  least: 5\n")
    with pytest.raises(ExportError, match=r"subset 'bright' is not built, or out of date; `arot run`"):
        publish(exporter.declaration(), exporter.project, exporter.resources)


def test_a_subset_that_is_built_anew_meanwhile_is_not_published_half(
    exporter: Exporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look_late(*arguments: Any) -> repository.RepositorySnapshot:
        exporter.select(SUBSET, least=110)
        return repository.look(*arguments)

    with monkeypatch.context() as late:
        late.setattr(publishing, "look", look_late)
        with pytest.raises(ExportError, match="was rebuilt while it was being published; publish it again"):
            exporter.publish()
    assert exporter.commits() == 1
    assert exporter.publish().changed


@LAYOUTS
def test_a_repository_without_lfs_for_these_files_takes_them_with_the_commit(exporter: Exporter, layout: str) -> None:
    exporter.hub.create(REPO, private=True)
    exporter.hub.commit(exporter.repository, {".gitattributes": b""})
    exporter.publish(layout=layout)
    assert not exporter.publish(layout=layout).changed
    assert exporter.commits() == 3
    if layout == "folder":
        files = exporter.files()
        assert {i: files[f"train/{i[:2]}/{i}.jpg"] for i in exporter.originals()} == exporter.originals()


def test_pictures_of_a_data_set_of_the_hub_are_published_with_its_commit(
    exporter: Exporter, make_dataset: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    exporter.publish()
    again = make_dataset("hf://datasets/owner/photos", name="d")  # what was published is taken for a source
    shutil.rmtree(tmp_path / "store")
    again.run("cv2")
    exporter.select(SUBSET)
    done = exporter.publish(repo="owner/again")
    files = exporter.hub.repositories["dataset", "owner/again"].commits[done.commit].files
    card = exporter.hub.contents.read(files["README.md"]).decode()
    head = exporter.repository.branches["main"]
    assert done.rows == 12 and f"| `d` | `hf://datasets/owner/photos` | {head} |" in card
