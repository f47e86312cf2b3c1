"""A takedown in a store on S3: the same as on a disk, and the list of what was taken down is kept by conditional requests."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from arot_assets.datasets.forgotten import add_forgotten, forgotten
from arot_assets.garbage import find_garbage, remove_garbage
from arot_assets.takedown import find_meant, forget
from arot_assets.verify import verify
from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import SAMPLES, StoreFile, TableRef, Tables
from resources.warehouse import Warehouse
from tests.conftest import Dataset
from tests.servers.swift import Swift
from tests.test_care import PROJECT, declaring


@pytest.mark.slow
def test_on_s3_content_leaves_every_table_and_nothing_else_is_touched(
    swift: Swift, bucket: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    storage = Storage()
    tables = Tables(storage, f"s3://{bucket}/lake")
    resources = Resources(storage, tables, Warehouse(tables=tables), Models(device="cpu"))
    dataset = Dataset(resources, source)
    dataset.run("phash")
    ((sample, uri),) = dataset.sql("select sample_id, uri from d.samples where status = 'ok' order by uri limit 1")
    tables.write(pa.table({"sample_id": [sample, "b" * 32]}), StoreFile("models/mine.parquet"))
    assert verify(resources, ["d"]).problems == []
    done = forget(resources, find_meant(resources, [uri]), "asked")
    assert sum(done.rows.values()) == 3 and tables.list("takedowns") == tables.list("leases") == []
    assert dataset.sql("select status, sample_id from d.samples where status <> 'ok'") == [("forgotten", None)]
    assert dataset.sql("select count(*) from d.phash") == [(11,)]
    assert tables.read(StoreFile("models/mine.parquet"))["sample_id"].to_pylist() == ["b" * 32]
    assert verify(resources, ["d"]).problems == []
    ids = [f"{n:032x}" for n in range(8)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: add_forgotten(tables, [one], "asked", "now"), ids))
    assert sorted(forgotten(tables)) == sorted([*ids, sample])
    garbage = find_garbage(declaring(dataset), PROJECT, resources)
    assert [one.uri for one in garbage] == [tables.folder(TableRef("d", "phash"))]
    assert remove_garbage(storage, garbage) == [] and tables.shards("d", "phash") == []
    assert len(tables.shards("d", SAMPLES)) == 3
