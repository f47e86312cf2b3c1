"""A takedown: the content leaves everything that the store has of it, and stays out under whatever name it comes back."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from arot_assets.classifiers.promotion import classifier_file
from arot_assets.cli.main import main
from arot_assets.datasets import samples
from arot_assets.datasets.forgotten import FORGOTTEN, TombstoneError, add_forgotten, forgotten
from arot_assets.exports.destinations.folder import FolderDestination
from arot_assets.ratings.build import build_ratings
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.takedown import (
    TakedownError,
    TakedownScope,
    TrainedModel,
    find_meant,
    forget,
    heads_trained_on,
    interrupted,
)
from arot_assets.verify import verify
from resources.defaults import Resources
from resources.storage import Storage
from resources.storage.cache import Cache
from resources.storage.local import LocalBackend
from resources.storage.objects import ObjectInfo
from resources.tables import SAMPLES, Hold, StoreFile, TableRef, Tables
from tests.conftest import EXAMPLES, Dataset
from tests.waiting import until, work_of

DESERT = min((EXAMPLES / "photo" / "desert").glob("*.jpg"))
"""A picture that the dataset does not have."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cache:
    """A cache of this test's own."""
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    return Cache(tmp_path / "cache", 10**9)


@pytest.fixture
def victim(dataset: Dataset) -> Path:
    """A picture of the dataset, which has a copy, a metric and ratings."""
    picture = sorted(dataset.source.rglob("*.jpg"))[0]
    shutil.copy(picture, dataset.source / "zz_copy.jpg")
    dataset.run("phash")
    return picture


def id_of(dataset: Dataset, picture: Path) -> str:
    ((sample,),) = dataset.sql(f"select sample_id from d.samples where uri = '{picture}'")
    return str(sample)


def rate(dataset: Dataset, folder: Path) -> None:
    """One score for each picture, named by its path."""
    pictures = sorted(p.relative_to(dataset.source) for p in dataset.source.rglob("*.jpg"))
    (folder / "team.csv").write_text("image,rater,score\n" + "".join(f"{p},ann,0.5\n" for p in pictures))
    source = {"name": "team", "by": "path", "item": "image", "rater": "rater", "value": "score"}
    declared = {"name": "q", "dataset": "d", "sources": [{**source, "file": str(folder / "team.csv")}]}
    build_ratings(dataset.resources.warehouse, RatingsDeclaration.model_validate(declared))


def naming(store: Path, *words: str) -> list[str]:
    """The files of the store in whose rows one of these words occurs; inventories and the list itself aside."""
    found = []
    for path in store.rglob("*.parquet"):
        text = json.dumps(pq.read_table(path).to_pylist(), default=str)
        if path.name != "inventory.parquet" and any(word in text for word in words):
            found.append(path.relative_to(store).as_posix())
    return sorted(found)


def test_content_leaves_every_table_and_the_cache(
    dataset: Dataset, resources: Resources, victim: Path, cache: Cache, tmp_path: Path
) -> None:
    sample, store = id_of(dataset, victim), Path(resources.tables.root)
    caption = victim.with_suffix(".txt").read_text().strip() if victim.with_suffix(".txt").exists() else sample
    rate(dataset, tmp_path)
    resources.tables.write(pa.table({"sample_id": [sample, "b" * 32]}), StoreFile("models/mine.parquet"))
    data = victim.read_bytes()
    cache.put(ObjectInfo("s3://b/other-name.jpg", len(data), 1.0, "e"), data)
    assert len(naming(store, sample)) >= 3

    meant = find_meant(resources, [str(victim)])
    assert list(meant.places) == [sample] and len(meant.places[sample]) == 2, "its copy is the same content"
    done = forget(resources, meant, "the author asked")
    assert naming(store, sample, caption) == []
    assert [p for p in naming(store, victim.name) if p.startswith("ratings")] == []
    assert cache.size() == 0 and done.cached == 1
    assert resources.tables.read(StoreFile("models/mine.parquet"))["sample_id"].to_pylist() == ["b" * 32]
    rows = dataset.sql("select status, reason, sample_id, caption, bytes from d.samples where status = 'forgotten'")
    assert rows == [("forgotten", "taken down: the author asked", None, None, None)] * 2
    assert resources.tables.list("leases") == []


def test_it_stays_out_under_another_name_and_everything_else_stays_in(
    dataset: Dataset, resources: Resources, victim: Path
) -> None:
    sample = id_of(dataset, victim)
    before = dataset.sql(f"select sample_id, phash from d.phash where sample_id <> '{sample}' order by 1")
    forget(resources, find_meant(resources, [sample[:12]]), "asked")
    shutil.move(victim, dataset.source / "another_name.jpg")
    dataset.inventory()
    dataset.samples()
    assert dataset.metrics("phash")["phash"].computed == 0
    assert dataset.sql("select sample_id, phash from d.phash order by 1") == before and len(before) == 11
    assert dataset.sql("select status from d.samples where uri like '%another_name.jpg'") == [("forgotten",)]


def test_samples_are_named_by_query_too_and_nothing_unknown_is_taken(
    dataset: Dataset, resources: Resources, victim: Path
) -> None:
    sample = id_of(dataset, victim)
    asked = find_meant(resources, [f"select sample_id from d.wide where uri = '{victim}'"])
    assert list(asked.places) == [sample]
    for wrong, told in {
        sample[:5]: "at least 8 digits",
        "/no/such/file.jpg": "no sample or address",
        "select uri from d.samples": "must give `sample_id`",
        "select sample_id from nothing": "cannot be run",
    }.items():
        with pytest.raises(TakedownError, match=told):
            find_meant(resources, [wrong])


def test_models_that_saw_it_are_named(dataset: Dataset, resources: Resources, victim: Path) -> None:
    sample, tables = id_of(dataset, victim), resources.tables
    pointer = {"digest": "aaaa", "inputs": "", "classes": [], "missed": ""}
    for digest, ids in {"aaaa": [sample, "b" * 32], "cccc": ["b" * 32, "c" * 32]}.items():
        tables.write_bytes(b"{}", classifier_file("style", digest, "entry.json"))
        split = pa.table({"sample_id": ids, "split": ["train", "test"]})
        tables.write(split, classifier_file("style", digest, "split.parquet"))
    tables.write_bytes(json.dumps(pointer).encode(), classifier_file("style", "current.json"))
    assert heads_trained_on(tables, [sample]) == [TrainedModel("style", "aaaa", ("train",), True)]


def test_command_shows_what_goes_before_it_asks(
    dataset: Dataset, resources: Resources, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_STORE", resources.tables.root)
    sample = id_of(dataset, victim)
    refused = CliRunner().invoke(main, ["forget", str(victim), "--reason", "asked"], input="n\n")
    assert refused.exit_code == 1 and sample in refused.output
    assert id_of(dataset, victim) == sample, "nothing was done"
    done = CliRunner().invoke(main, ["forget", str(victim), "--reason", "asked", "--yes"])
    assert done.exit_code == 0 and "1 samples are forgotten: 3 rows of " in done.output, done.output


def test_address_whose_content_was_replaced_means_both_and_an_id_only_its_own(
    dataset: Dataset, resources: Resources, victim: Path
) -> None:
    before = id_of(dataset, victim)
    (dataset.source / "zz_copy.jpg").unlink()
    shutil.copyfile(DESERT, victim)
    dataset.run("phash")
    ((after,),) = dataset.sql(f"select sample_id from d.samples where uri = '{victim}' and sample_id <> '{before}'")
    assert set(find_meant(resources, [str(victim)]).places) == {before, after}
    forget(resources, find_meant(resources, [before]), "asked")
    assert dataset.sql(f"select status from d.samples where sample_id = '{after}'") == [("ok",)], "not what was meant"
    assert dataset.sql(f"select count(*) from d.phash where sample_id = '{after}'") == [(1,)]


@pytest.mark.parametrize("wrong", ["", "   ", "select", "SELECT 1", "with x", "."])
def test_arguments_that_name_nothing_are_told(resources: Resources, wrong: str) -> None:
    with pytest.raises(TakedownError, match=r"there is no sample or address|cannot be run"):
        find_meant(resources, [wrong])


def test_ids_in_columns_of_every_type_and_in_footers_are_found(resources: Resources) -> None:
    victim, other = "a" * 32, "b" * 32
    ids = [victim, other, None]
    kept = {
        "large": pa.array(ids, pa.large_string()),
        "dictionary": pa.array(ids).dictionary_encode(),
        "list": pa.array([[one] for one in ids]),
        "struct": pa.array([{"x": 1, "id": one} for one in ids]),
        "list_of_structs": pa.array([[{"id": other}, {"id": one}] for one in ids]),
        "map": pa.array([[(one or "none", 1)] for one in ids], pa.map_(pa.string(), pa.int32())),
        "key": pa.array([f"{one} 12" for one in ids]),
        "sha256": pa.array([f"{one}{'0' * 32}" for one in ids]),
    }
    for name, column in kept.items():
        footer = {"lost": json.dumps([victim, other]), "said": f"as {victim}"}
        resources.tables.write(pa.table({name: column, "n": [0, 1, 2]}), StoreFile(f"models/{name}.parquet"), footer)
    done = forget(resources, TakedownScope({victim: []}, frozenset()), "asked")
    assert done.rows == {f"models/{name}.parquet": 1 for name in kept}
    for name in kept:
        place = StoreFile(f"models/{name}.parquet")
        assert resources.tables.read(place)["n"].to_pylist() == [1, 2], name
        footer = resources.tables.footer(place)
        assert json.loads(footer["lost"]) == [other] and footer["said"] == "as taken down"
        assert victim.encode() not in Path(resources.tables.uri(place)).read_bytes()


def test_ratings_of_another_picture_with_the_same_file_name_stay(
    dataset: Dataset, resources: Resources, victim: Path, tmp_path: Path
) -> None:
    other = dataset.source / "other" / victim.name
    other.parent.mkdir()
    shutil.copyfile(DESERT, other)
    dataset.run()
    rate(dataset, tmp_path)
    count = len(dataset.sql("select * from ratings.q"))
    forget(resources, find_meant(resources, [id_of(dataset, victim)]), "asked")
    events = resources.tables.list("ratings/q/events")
    items = [
        i for e in events for [i] in resources.tables.read(StoreFile(f"ratings/q/events/{e}"))["items"].to_pylist()
    ]
    assert f"other/{victim.name}" in items and len(items) == count - 2, "the picture's, and its copy's"


def test_takedown_that_is_stopped_anywhere_is_finished_by_the_next(
    dataset: Dataset, resources: Resources, victim: Path, cache: Cache, tmp_path: Path
) -> None:
    sample, store, data = id_of(dataset, victim), Path(resources.tables.root), victim.read_bytes()
    rate(dataset, tmp_path)
    whole = tmp_path / "whole"
    shutil.copytree(store, whole)
    meant = find_meant(resources, [str(victim)])

    class Killed(BaseException):
        pass

    steps = 0
    while True:
        steps += 1
        shutil.rmtree(store)
        shutil.copytree(whole, store)
        cache.put(ObjectInfo("s3://b/other-name.jpg", len(data), 1.0, "e"), data)
        left = iter(range(steps))
        real = LocalBackend._fill

        def fill(self: LocalBackend, *said: Any, left: Any = left, real: Any = real, **named: Any) -> Any:
            if next(left, None) is None:
                raise Killed
            return real(self, *said, **named)

        try:
            with patch.object(LocalBackend, "_fill", fill):
                forget(resources, meant, "asked")
        except Killed:
            pass
        else:
            break
        stopped = interrupted(resources.tables).places
        assert stopped or sample not in forgotten(resources.tables)
        assert bool(stopped) == any("was interrupted" in one for one in verify(resources, ["d"], share=0).problems)
        forget(resources, TakedownScope({"f" * 32: []}, frozenset()), "another one")
        if steps > 1:  # before, not even the note was written
            assert naming(store, sample) == [] and cache.size() == 0, steps
            assert [p for p in naming(store, victim.name) if p.startswith("ratings")] == [], steps
        assert resources.tables.list("takedowns") == []
    assert steps > 8


def test_table_that_is_being_made_meanwhile_is_waited_for(dataset: Dataset, resources: Resources, victim: Path) -> None:
    sample, tables = id_of(dataset, victim), resources.tables
    made = TableRef("d", "colour", "00000")
    hold = Tables(Storage(), tables.root).leases.take([made], "a run that read the sample before")
    assert isinstance(hold, Hold)
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(forget, resources, find_meant(resources, [sample]), "asked")
        gone = "select count(*) from d.samples where status = 'forgotten'"
        until("samples to be emptied", lambda: dataset.sql(gone) == [(2,)], work_of(os.getpid()))
        assert not done.done()
        tables.write(pa.table({"sample_id": [sample, "b" * 32]}), made)
        hold.end()
        assert done.result().rows[made.path] == 1
    assert naming(Path(tables.root), sample) == []


def test_samples_that_are_being_read_meanwhile_stay_out(dataset: Dataset, resources: Resources, victim: Path) -> None:
    sample, real = id_of(dataset, victim), samples.read_sample
    shutil.rmtree(resources.tables.folder(TableRef("d", SAMPLES)))

    def read(*said: Any) -> dict[str, Any]:
        row = real(*said)
        if row["sample_id"] == sample:
            forget(resources, TakedownScope({sample: []}, frozenset()), "asked")
        return row

    with patch.object(samples, "read_sample", read):
        dataset.samples()
    assert naming(Path(resources.tables.root), sample) == []
    assert dataset.sql("select count(*) from d.samples where status = 'forgotten'") == [(2,)]


def test_takedowns_of_several_people_at_once_are_all_on_the_list(resources: Resources) -> None:
    ids = [f"{n:032x}" for n in range(24)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda one: add_forgotten(resources.tables, [one], "asked", "now"), ids))
    assert sorted(forgotten(resources.tables)) == ids


def test_pages_of_models_show_it_no_more(resources: Resources) -> None:
    tables, sample, other = resources.tables, "a" * 32, "b" * 32
    mistakes = [{"sample_id": one, "label": "sea"} for one in (sample, other)]
    page = f'<p>{sample}</p><img alt="worst mistakes" src="data:image/jpeg;base64,AAAA"><p>{other}</p>'
    for name, data in {
        "entry.json": "{}",
        "evaluation.json": json.dumps({"mistakes": mistakes}),
        "report.html": page,
    }.items():
        tables.write_bytes(data.encode(), classifier_file("style", "aaaa", name))
    tables.write(pa.table({"sample_id": [sample]}), classifier_file("style", "labels.parquet"))
    tables.write_bytes(b"weights", classifier_file("style", "checkpoints", "x.pt"))
    forget(resources, TakedownScope({sample: []}, frozenset()), "asked")
    told = tables.read_bytes(classifier_file("style", "aaaa", "report.html")).decode()
    assert "base64" not in told and sample not in told and other in told
    evaluation = json.loads(tables.read_bytes(classifier_file("style", "aaaa", "evaluation.json")))
    assert [one["sample_id"] for one in evaluation["mistakes"]] == [other]
    assert tables.list("classifiers/style/checkpoints") == []


def test_what_a_killed_export_left_goes_and_that_of_a_running_one_stays(resources: Resources) -> None:
    left, going_on = (Path(resources.tables.root) / "exports" / name for name in ("left", "going_on"))
    running, killed = FolderDestination(str(going_on)), FolderDestination(str(left))
    stayed, stale = running.staging(), killed.staging()
    killed._lock.close()  # type: ignore[union-attr]  # as the end of its process does
    (stale / "a.jpg").write_bytes(b"pixels")
    forget(resources, TakedownScope({"a" * 32: []}, frozenset()), "asked")
    assert stayed.exists() and not stale.exists()
    running.close()


def test_damaged_list_lets_nothing_back_in(dataset: Dataset, resources: Resources, victim: Path) -> None:
    forget(resources, find_meant(resources, [str(victim)]), "asked")
    shutil.rmtree(resources.tables.folder(TableRef("d", SAMPLES)))
    resources.tables.write_bytes(b'{"a": ', FORGOTTEN)
    with pytest.raises(TombstoneError, match="restore it from a backup"):
        dataset.samples()
    assert resources.tables.shards("d", SAMPLES) == []


def test_another_machine_finds_its_cached_copy_by_the_list(
    dataset: Dataset, resources: Resources, victim: Path, cache: Cache
) -> None:
    sample, data = id_of(dataset, victim), victim.read_bytes()
    forget(resources, find_meant(resources, [sample]), "asked")
    cache.put(ObjectInfo("s3://b/other-name.jpg", len(data), 1.0, "e"), data)
    assert forget(resources, find_meant(resources, [sample]), "asked").cached == 1 and cache.size() == 0
    (told,) = Path(resources.tables.root, "forgotten").iterdir()
    assert json.loads(told.read_text())["bytes"] == [len(data)], "once, however many samples there are"
