"""A takedown: the content leaves everything that the store has of it, and stays out under whatever name it comes back."""

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from arot_assets.classifiers.promotion import classifier_file
from arot_assets.cli.main import main
from arot_assets.ratings.build import build_ratings
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.takedown import TakedownError, TrainedModel, find_meant, forget, heads_trained_on
from resources.defaults import Resources
from resources.storage.cache import Cache
from resources.storage.objects import ObjectInfo
from resources.tables import StoreFile
from tests.conftest import Dataset


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
