"""What left the source is in no view, found once for all views of a connection, and again when that changed."""

from pathlib import Path

import pytest

from resources.tables import SAMPLES, TableRef
from resources.tables.parquet_files import TablesError
from resources.warehouse import Warehouse
from resources.warehouse.departed import SCHEMA
from resources.warehouse.lake import Connection
from tests.conftest import Dataset

COUNTS = (
    "select (select count(*) from d.samples), (select count(*) from d.cv2), (select count(cv2__sharpness) from d.wide)"
)


@pytest.fixture
def measured(dataset: Dataset) -> Dataset:
    dataset.run("cv2", "phash")
    return dataset


def leave(dataset: Dataset, count: int) -> list[tuple[Path, bytes]]:
    """Remove files whose samples are good from the source, and list it again."""
    good = dataset.sql("select uri from d.samples semi join d.cv2 using (sample_id) order by uri")
    files = [(path, path.read_bytes()) for (uri,) in good[:count] for path in [Path(uri)]]
    for path, _ in files:
        path.unlink()
    dataset.inventory()
    return files


def kept(con: Connection) -> list[tuple[str, ...]]:
    """The tables of a connection that are no views."""
    return con._raw.execute("select schema_name, table_name from duckdb_tables() where not internal").fetchall()


def test_open_connection_sees_what_leaves_and_what_comes_back(measured: Dataset) -> None:
    with measured.resources.warehouse.connect() as con:
        samples, metric, wide = con.execute(COUNTS).fetchall()[0]
        assert kept(con) == []
        left = leave(measured, 2)
        assert con.execute(COUNTS).fetchall() == [(samples - 2, metric - 2, wide - 2)]
        assert kept(con) == [(SCHEMA, "d")]
        more = leave(measured, 1)
        assert con.execute(COUNTS).fetchall() == [(samples - 3, metric - 3, wide - 3)]
        for path, content in left + more:
            path.write_bytes(content)
        measured.run("cv2", "phash")
        assert con.execute(COUNTS).fetchall() == [(samples, metric, wide)]


def test_samples_are_read_once_for_all_metrics(measured: Dataset) -> None:
    leave(measured, 2)
    with measured.resources.warehouse.connect() as con:
        con.execute("select count(*) from d.samples join d.cv2 using (sample_id) join d.phash using (sample_id)")
        views = con._raw.execute("select view_name, sql from duckdb_views() where schema_name = 'd'").fetchall()
        reading = {name for name, sql in views if "/samples/" in sql}
    assert reading == {"samples"}, "the views of metrics look the rows up that were found"


def test_catalogue_file_shows_no_more(measured: Dataset) -> None:
    import duckdb

    leave(measured, 2)
    warehouse = measured.resources.warehouse
    warehouse.refresh()
    with warehouse.connect() as con, duckdb.connect(str(warehouse.catalog_path), read_only=True) as file:
        assert file.execute(COUNTS).fetchall() == con.execute(COUNTS).fetchall()
        assert file.execute("select count(*) from duckdb_tables()").fetchall() == [(0,)], "it has views only"


def test_content_that_moved_to_another_shard_is_shown_once(measured: Dataset) -> None:
    ((metric,),) = measured.sql("select count(*) from d.cv2")
    for path, content in leave(measured, 3):
        path.with_name(f"moved-{path.name}").write_bytes(content)
    measured.run("cv2", "phash")
    with measured.resources.warehouse.connect() as con:
        assert con.execute("select count(*), count(distinct sample_id) from d.cv2").fetchall() == [(metric, metric)]
        assert con.execute(f'select count(*) from "{SCHEMA}".d').fetchall() == [(3,)], "and hidden where it was"


def test_damaged_samples_are_told_by_the_view_and_do_not_stop_others(measured: Dataset) -> None:
    leave(measured, 2)
    tables = measured.resources.tables
    damaged = Path(tables.uri(TableRef("d", SAMPLES, measured.shards()[0])))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    with Warehouse(tables).connect() as con:
        assert ("d", "inventory") in con.execute("select schema_name, view_name from duckdb_views()").fetchall()
        with pytest.raises(TablesError, match=damaged.name):
            con.execute("select count(*) from d.cv2")
