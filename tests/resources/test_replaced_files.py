"""Queries while another process replaces the files that they read, and files that are damaged."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from resources.tables import TableRef, TablesError
from tests.conftest import REPOSITORY, Dataset

WRITER = """
import itertools, os, sys
import pyarrow as pa
from resources.storage import Storage
from resources.tables import TableRef, Tables
tables = Tables(store=sys.argv[1], storage=Storage())
shards = [TableRef("d", "phash", shard) for shard in tables.shards("d", "phash")]
whole = {shard: tables.read(shard) for shard in shards}
footers = {shard: tables.footer(shard) for shard in shards}
for turn in itertools.count():
    for shard, table in whole.items():
        more = pa.array(os.urandom(16).hex() for _ in range(table.num_rows * (turn % 3)))
        if turn % 3:  # a version of the table with a column of its own, and other lengths
            table = table.append_column("extra", more.slice(0, table.num_rows))
            table = table.set_column(table.schema.get_field_index("reason"), "reason", more.slice(0, table.num_rows))
        tables.write(table, shard, footers[shard])
    print(turn, flush=True)
"""


@contextmanager
def files_replaced(dataset: Dataset) -> Iterator[None]:
    """A process replaces every shard of ``phash`` over and over."""
    root = dataset.resources.tables.root
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, root], cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        assert writer.stdout is not None and writer.stderr is not None
        assert writer.stdout.readline(), writer.stderr.read().decode()
        yield
        assert writer.poll() is None, writer.stderr.read().decode()
    finally:
        writer.kill()
        writer.communicate()


@pytest.fixture
def busy(dataset: Dataset) -> Dataset:
    """A dataset of many shards."""
    dataset.declaration = dataset.declaration.model_copy(update={"shard_size": 1})
    dataset.run("phash")
    assert len(dataset.shards()) == 12
    return dataset


def test_queries_over_views_succeed_while_shards_are_replaced(busy: Dataset) -> None:
    with files_replaced(busy):
        for _ in range(10):  # each connection finds the columns anew
            with busy.resources.warehouse.connect() as con:
                for _ in range(10):
                    assert con.execute("select count(*), count(phash) from d.phash").fetchone() == (12, 12)
                    assert con.execute("select count(phash__phash), max(phash__reason) from d.wide").fetchall()


def test_catalogue_is_written_and_lives_on_while_shards_are_replaced(busy: Dataset) -> None:
    with files_replaced(busy):
        for _ in range(10):
            busy.resources.warehouse.refresh()
        found = []
        with duckdb.connect(str(busy.resources.warehouse.catalog_path), read_only=True) as con:
            for _ in range(50):  # raw DuckDB, as people use it: no view is altered by what is written
                try:
                    found += con.execute("select count(*), count(phash) from d.phash").fetchall()
                except duckdb.Error as error:
                    assert not isinstance(error, duckdb.BinderException), error
        assert set(found) == {(12, 12)}


def test_models_are_built_while_shards_are_replaced(busy: Dataset, tmp_path: Path) -> None:
    from resources.tables import ModelRef

    tables = busy.resources.tables
    with files_replaced(busy), busy.resources.warehouse.connect() as con:
        for _ in range(20):
            sql = "select sample_id, reason from d.phash"
            rows = con.repeated(lambda raw, sql=sql: tables.write_query(raw, sql, ModelRef("m")), sql)
            assert rows == 12


def test_error_of_a_statement_is_told_at_once(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    from resources.warehouse.lake import Retry

    dataset.run("phash")
    monkeypatch.setattr(Retry, "again", lambda *_: pytest.fail("it is not run again"))
    with dataset.resources.warehouse.connect() as con:
        for wrong, kind in {
            "select nothing from d.phash": duckdb.BinderException,
            "selec 1": duckdb.ParserException,
            "select error('mine') from d.phash": duckdb.InvalidInputException,
            "select uri::int from d.samples": duckdb.ConversionException,
            "from 'nowhere.parquet'": duckdb.IOException,
        }.items():
            with pytest.raises(kind):
                con.execute(wrong)


@pytest.mark.parametrize("bytes_kept", [0, 3, 300])
def test_damaged_shard_is_named_and_spoils_no_other_table(dataset: Dataset, bytes_kept: int) -> None:
    dataset.run("phash", "cv2")
    path = Path(dataset.resources.tables.uri(TableRef("d", "phash", dataset.shards()[0])))
    path.write_bytes(path.read_bytes()[:bytes_kept])
    dataset.resources.warehouse.refresh()
    with dataset.resources.warehouse.connect() as con:
        assert con.execute("select count(*) from d.cv2").fetchone() == (12,)
        assert con.execute("select count(*) from d.samples").fetchone() == (12,)
        for query in ("select phash from d.phash", "select phash__phash from d.wide"):
            with pytest.raises(TablesError, match=f"{path}' is not a Parquet file, or damaged: .*`arot rm {path}`"):
                con.execute(query).fetchall()


def test_damaged_page_is_named(dataset: Dataset) -> None:
    dataset.run("phash")
    path = Path(dataset.resources.tables.uri(TableRef("d", "phash", dataset.shards()[0])))
    data = bytearray(path.read_bytes())
    data[4:400] = bytes(396)
    path.write_bytes(data)
    with dataset.resources.warehouse.connect() as con, pytest.raises(TablesError, match=f"{path}' .*damaged"):
        con.execute("select * from d.phash")


def test_table_without_a_sound_file_is_told_by_name(dataset: Dataset) -> None:
    dataset.run("phash", "cv2")
    for shard in dataset.shards():
        Path(dataset.resources.tables.uri(TableRef("d", "phash", shard))).write_bytes(b"")
    with dataset.resources.warehouse.connect() as con:
        assert con.execute("select count(*) from d.cv2").fetchone() == (12,)
        with pytest.raises(TablesError, match=r"phash/.* is not a Parquet file"):
            con.execute("select phash from d.phash where sample_id > 'a'")


def test_damaged_inventory_is_told_by_all_tables_of_its_dataset_alone(dataset: Dataset, source: Path) -> None:
    dataset.run("phash")
    other = Dataset(dataset.resources, source, name="other")
    other.run("phash")
    path = Path(dataset.resources.tables.uri(TableRef("d", "inventory")))
    path.write_bytes(b"PAR1 no")
    with dataset.resources.warehouse.connect() as con:
        assert con.execute("select count(*) from other.wide").fetchone() == (12,)
        for table in ("inventory", "samples", "phash", "wide"):
            with pytest.raises(TablesError, match=f"{path}' is not a Parquet file"):
                con.execute(f"select * from d.{table}")
