"""The store on S3: whole tables whoever writes, SQL over them in place, few requests, and no secret on any disk."""

import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from resources.storage import Storage, StorageError
from resources.storage.s3.settings import S3Settings
from resources.tables import ModelRef, StoreFile, TableRef, Tables, TablesError, Unfinished, remove_orphans
from resources.warehouse import Warehouse
from resources.warehouse.connection import HTTP_RETRIES, open_duckdb
from tests.servers.faults import FaultProxy, Faults
from tests.servers.fixtures import bucket, swift  # noqa: F401
from tests.servers.swift import Swift


@pytest.fixture
def make_tables(swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Tables]:
    """Makes tables over one store, reached straight or through a proxy."""
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    return lambda endpoint="": Tables(store=f"s3://{bucket}/lake", storage=Storage(s3=S3Settings(endpoint=endpoint)))


def rows(number: int) -> pa.Table:
    """A table whose every row holds the number, three numbers' times."""
    return pa.table({"sample_id": [f"{i:032}" for i in range(3 * number)], "n": [number] * (3 * number)})


def fill(tables: Tables, shards: int) -> None:
    """A table ``d.m`` in so many shards."""
    for i in range(shards):
        tables.write(rows(i + 1), TableRef("d", "m", f"{i:05}"), footer={"n": str(i)})


def test_what_is_written_is_read(make_tables: Callable[..., Tables]) -> None:
    tables = make_tables()
    assert tables.footer_if_any(StoreFile("t.parquet")) is None and not tables.exists(StoreFile("t.parquet"))
    with pytest.raises(TablesError, match="materialize the asset"):
        tables.read(StoreFile("t.parquet"))
    tables.write(rows(4), StoreFile("t.parquet"), footer={"a": "1"})
    assert tables.read(StoreFile("t.parquet")) == rows(4).replace_schema_metadata(
        tables.read(StoreFile("t.parquet")).schema.metadata
    )
    assert tables.read(StoreFile("t.parquet"), columns=["n"]).column_names == ["n"]
    assert (tables.footer(StoreFile("t.parquet")), tables.num_rows(StoreFile("t.parquet")), tables.list("")) == (
        {"a": "1"},
        12,
        ["t.parquet"],
    )
    with open_duckdb(tables) as con:
        assert (
            tables.write_query(
                con, f"select * from '{tables.uri(StoreFile('t.parquet'))}' where n = 4", StoreFile("u.parquet")
            )
            == 12
        )
        assert con.execute(f"select count(*) from '{tables.uri(StoreFile('u.parquet'))}'").fetchone() == (12,)


def test_store_that_cannot_be_reached_is_not_a_table_that_is_missing(
    make_tables: Callable[..., Tables], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageError, match="SignatureDoesNotMatch"):
        make_tables().footer_if_any(StoreFile("t.parquet"))


def test_heads_are_asked_for_once_and_again_when_the_file_is_another(
    make_tables: Callable[..., Tables], swift: Swift
) -> None:
    fill(make_tables(), 12)
    with FaultProxy(swift.endpoint, Faults()) as proxy:
        tables = make_tables(proxy.endpoint)
        first = tables.footers("d", "m")
        assert [(s, h.strings["n"], h.num_rows) for s, h in first.items()] == [
            (f"{i:05}", str(i), 3 * (i + 1)) for i in range(12)
        ]
        before = proxy.requests
        assert tables.footers("d", "m") == first and proxy.requests == before + 1
        tables.write(rows(1), TableRef("d", "m", "00003"), footer={"n": "new"})
        assert tables.footers("d", "m")["00003"].strings == {"n": "new"}
        assert tables.footers("d", "none") == {}


def test_sql_reads_in_place_through_faults(make_tables: Callable[..., Tables], swift: Swift) -> None:
    fill(make_tables(), 20)
    faults = Faults(refuse=0.03, error=0.05, lost=0.03, reset=0.05, half=0.05)
    with FaultProxy(swift.endpoint, faults, seed=5) as proxy:
        tables = make_tables(proxy.endpoint)
        for _ in range(5):
            with open_duckdb(tables) as con:
                found = con.execute(
                    f"select count(*), sum(n) from read_parquet('{tables.folder(TableRef('d', 'm'))}/*.parquet', union_by_name = true)"
                ).fetchone()
            assert found == (3 * 210, 3 * sum((i + 1) ** 2 for i in range(20)))
        assert sum(proxy.injected.values()) > 5


def test_every_connection_to_a_store_on_s3_repeats_what_failed_as_often(make_tables: Callable[..., Tables]) -> None:
    with Warehouse(tables=make_tables()).connect() as con, con.beside() as other:
        for one in (con, other):  # threads that look into files side by side
            assert one.execute("select current_setting('http_retries')").fetchall() == [(HTTP_RETRIES,)]


def test_a_file_replaced_while_it_is_read_is_the_old_or_the_new_one(make_tables: Callable[..., Tables]) -> None:
    tables, other = make_tables(), make_tables()
    tables.write(rows(20_000), StoreFile("t.parquet"))
    stop = threading.Event()

    def write() -> None:
        number = 20_000
        while not stop.is_set():
            number = 41_000 - number
            other.write(rows(number), StoreFile("t.parquet"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for i in range(12):
            found = tables.read(StoreFile("t.parquet"), columns=["n"] if i % 2 else None)["n"]
            assert len(set(found.to_pylist())) == 1 and len(found) == 3 * found[0].as_py()
    finally:
        stop.set()
        writer.join()


def test_a_replaced_file_is_seen_by_the_next_query(make_tables: Callable[..., Tables]) -> None:
    tables = make_tables()
    with open_duckdb(tables) as con:
        for number in (3, 4, 5):
            tables.write(rows(number), StoreFile("t.parquet"))
            found = con.execute(
                f"select count(*), max(n) from read_parquet('{tables.uri(StoreFile('t.parquet'))}')"
            ).fetchone()
            assert found == (3 * number, number)


def test_no_file_of_this_machine_holds_the_secret(
    make_tables: Callable[..., Tables], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path))
    tables = make_tables()
    tables.write(rows(2), ModelRef("m"))
    warehouse = Warehouse(tables=tables)
    warehouse.refresh()
    assert warehouse.catalog_path.exists()
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert b"testsecret" not in path.read_bytes()
    with warehouse.connect() as con:
        assert con.execute("select count(*) from m").fetchone() == (6,)
        assert "testsecret" not in str(con.execute("from duckdb_secrets()").fetchall())


def test_query_over_tables_of_this_machine_may_name_files_on_s3(
    make_tables: Callable[..., Tables], tmp_path: Path
) -> None:
    far = make_tables()
    far.write(rows(2), StoreFile("t.parquet"))
    query = f"select count(*) from '{far.uri(StoreFile('t.parquet'))}'"
    with Warehouse(tables=Tables(store=str(tmp_path), storage=far.storage)).connect(query) as con:
        assert con.execute(query).fetchone() == (6,)


def test_unfinished_rows_are_saved_and_removed_there_too(make_tables: Callable[..., Tables]) -> None:
    tables = make_tables()
    first, second = (Unfinished(tables, "d", "m", shard, "1") for shard in ("00000", "00001"))
    first.keep(rows(1))
    first.keep(rows(2))
    second.keep(rows(3))
    assert sorted(table.num_rows for table in first.read()) == [3, 6]
    assert list(Unfinished(tables, "d", "m", "00000", "2").read()) == []
    assert remove_orphans(tables, "d", {"m"}, {"00000"}) == 1
    assert list(second.read()) == [] and len(list(first.read())) == 2
    assert first.clear() == 2
    assert list(first.read()) == [] and tables.list("unfinished/d/m") == []
