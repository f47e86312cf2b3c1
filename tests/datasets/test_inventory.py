"""What the inventory says when files come, change and go."""

import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.datasets.changes import plan
from arot_assets.datasets.inventory import InventoryError, list_source
from arot_assets.datasets.objects import LISTED
from arot_assets.declarations import ImageDataset
from resources.storage import Storage, StorageError
from resources.tables import TableRef
from tests.conftest import DATA, Dataset
from tests.tiers import draws


def touch(path: Path, seconds: float = 5.0) -> None:
    found = path.stat()
    os.utime(path, (found.st_atime, found.st_mtime + seconds))


def test_every_file_is_an_object_of_exactly_one_shard(dataset: Dataset) -> None:
    found = dataset.inventory()
    assert found.new == 12
    assert found.new_shards == ("00000", "00001", "00002")
    assert [
        len(s)
        for s in (found.inventory.filter(pa.compute.equal(found.inventory["shard"], s)) for s in found.new_shards)
    ] == [
        5,
        5,
        2,
    ]


def test_nothing_changed_means_no_new_shard(dataset: Dataset) -> None:
    dataset.inventory()
    again = dataset.inventory()
    assert (again.differs, again.new_shards, again.unchanged) == (False, (), 12)


def test_new_changed_and_gone_objects_are_told_apart(dataset: Dataset) -> None:
    dataset.inventory()
    pictures = sorted(dataset.source.rglob("*.jpg"))
    pictures[0].unlink()
    shutil.copyfile(pictures[1], pictures[2])
    shutil.copyfile(pictures[3], pictures[3].with_name("new.jpg"))
    found = dataset.inventory()
    assert (found.new, found.changed, found.gone, found.unchanged) == (1, 1, 1, 10)
    states = dict(dataset.sql("select state, count(*) from d.inventory group by 1"))
    assert states == {"present": 12, "gone": 1, "superseded": 1}
    shards = dataset.sql("select distinct shard from d.inventory where state = 'present' and shard >= '00003'")
    assert shards == [("00003",)], "new and changed objects go to a new shard"


def test_changed_caption_counts_as_change(dataset: Dataset) -> None:
    dataset.inventory()
    caption = next(dataset.source.rglob("*.json"))
    caption.write_text('{"tags": "other"}')
    touch(caption)
    assert dataset.inventory().changed == 1


def test_original_whose_caption_changed_keeps_its_duplicates(dataset: Dataset) -> None:
    original = sorted(dataset.source.rglob("*.jpg"))[0]
    shutil.copyfile(original, dataset.source / "zz-copy.jpg")
    dataset.run()
    assert dataset.sql("select uri from d.samples where status = 'duplicate'") == [
        (str(dataset.source / "zz-copy.jpg"),)
    ]
    caption = original.with_suffix(".json")
    caption.write_text('{"tags": "other"}')
    touch(caption)
    found = dataset.inventory()
    assert found.changed == 1
    original.unlink()
    caption.unlink()
    dataset.inventory()
    assert dataset.sql("select status from d.samples where uri like '%zz-copy.jpg'") == [("ok",)]


def test_object_that_comes_back_is_new_again(dataset: Dataset, tmp_path: Path) -> None:
    dataset.inventory()
    picture = next(dataset.source.rglob("*.jpg"))
    shutil.move(picture, tmp_path / "away.jpg")
    assert dataset.inventory().gone == 1
    shutil.move(tmp_path / "away.jpg", picture)
    assert dataset.inventory().new == 1
    assert dataset.sql("select count(*) from d.inventory where state = 'present'") == [(12,)]


def test_missing_source_is_one_error_that_names_it(dataset: Dataset) -> None:
    missing = dataset.declaration.model_copy(update={"source": "/nowhere/at/all"})
    with pytest.raises(
        StorageError, match=r"cannot list '/nowhere/at/all': No such file or directory; check the spelling"
    ):
        list_source(Storage(), missing)


def test_unmounted_source_does_not_empty_the_dataset(dataset: Dataset) -> None:
    dataset.inventory()
    shutil.rmtree(dataset.source)
    dataset.source.mkdir()
    with pytest.raises(InventoryError, match="12 objects of it are known; is the disk mounted"):
        dataset.inventory()
    assert dataset.sql("select count(*) from d.inventory where state = 'present'") == [(12,)]


def test_files_that_are_no_images_are_counted_not_forgotten(dataset: Dataset) -> None:
    (dataset.source / "notes.md").write_text("x")
    (dataset.source / "list.csv").write_text("x")
    assert list_source(Storage(), dataset.declaration).ignored == {".md": 1, ".csv": 1}


def test_growing_file_waits_for_the_next_listing(dataset: Dataset) -> None:
    picture = next(dataset.source.rglob("*.jpg"))
    growing = dataset.source / "growing.jpg"
    growing.write_bytes(b"")

    class Growing(Storage):
        """Storage whose second look finds the file larger, as a real writer would have made it."""

        def stat(self, uri: str):  # type: ignore[no-untyped-def]
            if uri.endswith("growing.jpg"):
                growing.write_bytes(growing.read_bytes() + picture.read_bytes()[:100])
            return super().stat(uri)

    settled = dataset.declaration.model_copy(update={"settle_seconds": 0.2})
    listing = list_source(Growing(), settled)
    assert listing.unsettled == (str(growing),)
    assert str(growing) not in listing.objects["uri"].to_pylist()


def test_absurd_names_survive(make_dataset) -> None:  # type: ignore[no-untyped-def]
    faults = make_dataset(DATA / "faults")
    faults.inventory()
    names = {Path(uri).name for (uri,) in faults.sql("select uri from d.inventory")}
    assert {"画像 テスト.png", "hash#and%20percent%.jpg", ".hidden.png", "UPPERCASE.JPG"} <= names
    assert len(names) == 53


NAMES = st.sampled_from([f"/s/{n}.jpg" for n in "abcdefgh"])
STATES = st.dictionaries(NAMES, st.integers(1, 3), max_size=8)


def table(state: dict[str, int]) -> pa.Table:
    stamp = [datetime.fromtimestamp(v, UTC) for v in state.values()]
    return pa.table(
        {
            "uri": list(state),
            "size": pa.array(state.values(), pa.int64()),
            "mtime": stamp,
            "etag": pa.nulls(len(state), pa.string()),
            "sidecars": pa.array([[] for _ in state], pa.list_(pa.string())),
            "sidecar_mtime": pa.nulls(len(state), pa.timestamp("us", tz="UTC")),
            "metadata": pa.nulls(len(state), pa.string()),
        },
        schema=LISTED,
    )


@settings(max_examples=draws(60), deadline=None)
@given(st.lists(STATES, min_size=1, max_size=5), st.integers(1, 4))
def test_present_rows_are_always_the_last_listing_and_shards_never_change(
    states: list[dict[str, int]], shard_size: int
) -> None:
    inventory = None
    members: dict[str, set[str]] = {}
    for state in states:
        found = plan(inventory, table(state), datetime.now(UTC), shard_size)
        inventory = found.inventory
        rows = inventory.to_pylist()
        assert {r["uri"]: r["size"] for r in rows if r["state"] == "present"} == state
        assert len([r for r in rows if r["state"] == "present"]) == len(state)
        now: dict[str, set[str]] = {}
        for row in rows:
            now.setdefault(row["shard"], set()).add(row["uri"])
        assert all(now[shard] == uris for shard, uris in members.items()), "a shard is an immutable list of objects"
        assert all(len(uris) <= shard_size for uris in now.values())
        assert set(now) - set(members) == set(found.new_shards)
        members = now


def test_root_is_written_as_the_uris_of_its_listing_are(make_dataset, source: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    """Whoever takes the root off a uri must find it there, however the source was written."""
    monkeypatch.chdir(source / "sea")
    monkeypatch.setenv("HOME", str(source))
    for written in (f"{source}/sea/../", f"{source}//sea/..", f"file://{source}/./sea/..", "~", f"{source}/"):
        dataset = make_dataset(written, name="d")
        dataset.inventory()
        root = dataset.resources.tables.footer(TableRef("d", "inventory"))["root"]
        assert root == str(source)
        assert all(uri.startswith(f"{source}/") for (uri,) in dataset.sql("select uri from d.inventory")), written


def test_relative_source_starts_at_the_project() -> None:
    assert ImageDataset(name="x", source="examples/images").root.endswith("/examples/images")
    assert Path(ImageDataset(name="x", source="examples/images").root).is_dir()


def test_half_of_a_source_that_vanishes_is_asked_about(make_dataset, source: Path) -> None:  # type: ignore[no-untyped-def]
    picture = next(source.rglob("*.jpg")).read_bytes()
    for n in range(60):
        (source / f"{n}.jpg").write_bytes(picture + bytes([n]))
    make_dataset(source).inventory()
    for n in range(45):
        (source / f"{n}.jpg").unlink()
    with pytest.raises(InventoryError, match=r"45 of 72 objects vanished .*`may_vanish: 0.63`"):
        make_dataset(source).inventory()
    assert make_dataset(source, may_vanish=0.63).inventory().gone == 45


def test_few_that_vanish_are_told_and_those_renamed_are_not(dataset: Dataset) -> None:
    dataset.inventory()
    (dataset.source / "sea").rename(dataset.source / "ocean")
    dataset.inventory()
    footer = dataset.resources.tables.footer
    assert footer(TableRef("d", "inventory"))["problems"] == ""
    for picture in sorted(dataset.source.rglob("*.jpg"))[:7]:
        picture.unlink()
    assert dataset.inventory().gone == 7
    assert "7 of 12 objects vanished" in footer(TableRef("d", "inventory"))["problems"]
