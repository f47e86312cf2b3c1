"""An S3 server that goes away in the middle of work costs time, not rows: no row says that it could not be read."""

from pathlib import Path

import pytest

from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage, StorageError
from resources.storage.s3.settings import S3Settings
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.conftest import Dataset
from tests.servers.faults import FaultProxy, Faults
from tests.servers.swift import Swift


def test_server_that_goes_away_ends_the_work_and_leaves_no_failed_row(
    swift: Swift, bucket: str, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    assert not Storage().sync(str(source), f"s3://{bucket}/pictures").failed
    with FaultProxy(swift.endpoint, Faults()) as proxy:
        storage = Storage(s3=S3Settings(endpoint=proxy.endpoint))
        tables = Tables(storage, str(tmp_path / "store"))
        resources = Resources(storage, tables, Warehouse(tables), Models(device="cpu"))
        dataset = Dataset(resources, Path("unused"), shard_size=20)
        dataset.declaration = dataset.declaration.model_copy(update={"source": f"s3://{bucket}/pictures"})
        dataset.inventory()
        with proxy.down(), pytest.raises(StorageError, match="no server listens"):
            dataset.samples()
        assert tables.shards("d", "samples") == [], "a table that is not whole is not there"
        assert dataset.samples() == {"00000": 12}
        with proxy.down(), pytest.raises(StorageError, match="no server listens"):
            dataset.metrics("phash")
        assert tables.shards("d", "phash") == []
        dataset.metrics("phash")
    assert dataset.sql("select status, count(*) from d.samples group by 1") == [("ok", 12)]
    assert dataset.sql("select status, count(*) from d.phash group by 1") == [("ok", 12)]
    with_captions = dataset.sql("select count(*) from d.samples where caption is not null or sidecar is not null")
    assert with_captions == [(12,)], "no sidecar was lost"
