"""``catalog.duckdb`` is replaced by a whole one, or not at all."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from resources.warehouse import Warehouse
from tests.conftest import REPOSITORY, Dataset

REFRESH = """
import resource, signal, sys
from resources.storage import Storage, StorageError
from resources.tables import Tables
from resources.warehouse import Warehouse
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
warehouse = Warehouse(Tables(store=sys.argv[1], storage=Storage()))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    warehouse.refresh()
except StorageError as error:
    sys.exit(str(error))
"""


def views(catalog: Path) -> int:
    with duckdb.connect(str(catalog), read_only=True) as con:
        return len(con.execute("select 1 from duckdb_views() where not internal").fetchall())


@pytest.mark.parametrize("room", [0, 5_000, 13_000, 20_000, 60_000])
def test_catalogue_that_finds_no_room_leaves_the_old_one(dataset: Dataset, room: int) -> None:
    dataset.run("phash")
    dataset.resources.warehouse.refresh()
    store = Path(dataset.resources.tables.root)
    before = (store / "catalog.duckdb").read_bytes()
    done = subprocess.run(
        [sys.executable, "-c", REFRESH, str(store), str(room)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "the old catalogue was kept. Free some space" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert (store / "catalog.duckdb").read_bytes() == before
    # a run that is slow keeps its unfinished rows
    assert {p.name for p in store.iterdir()} - {"unfinished"} == {"catalog.duckdb", "datasets"}


def test_new_catalogue_has_every_view_and_leaves_nothing_beside_it(dataset: Dataset) -> None:
    dataset.run("phash")
    dataset.resources.warehouse.refresh()
    store = Path(dataset.resources.tables.root)
    assert views(store / "catalog.duckdb") == 4, "inventory, samples, phash, wide"
    # a run that is slow keeps its unfinished rows
    assert {p.name for p in store.iterdir()} - {"unfinished"} == {"catalog.duckdb", "datasets"}


def test_views_that_were_lost_without_an_error_are_noticed(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    from resources.storage import StorageError
    from resources.warehouse import warehouse

    dataset.run("phash")
    dataset.resources.warehouse.refresh()
    catalog = dataset.resources.warehouse.catalog_path
    counted = warehouse._stored_views
    monkeypatch.setattr(warehouse, "_stored_views", lambda path: counted(path) - 4)
    with pytest.raises(StorageError, match="0 of 4 views were stored; the old catalogue was kept"):
        dataset.resources.warehouse.refresh()
    assert views(catalog) == 4


def test_connections_that_exceed_their_memory_do_not_take_each_others_folder(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("AROT_SCRATCH", str(here))
    warehouse = Warehouse(dataset.resources.tables, memory_limit="40MB")
    large = "select n, md5(n::varchar) as text from range(1_500_000) t(n)"
    with warehouse.connect() as first:
        first.execute(f"create temp table kept as {large}")
        with warehouse.connect() as second:
            second.execute(f"create temp table kept as {large}")
            assert len(list(here.glob("*/*/duckdb_*"))) == 2, "both hold more than their limit"
        assert first.execute("select count(distinct text) from kept").fetchone() == (1_500_000,)
    assert list(here.glob("*/*/duckdb_*")) == []
