"""A disk that turns read-only in the middle of something: its own error, and no other one from tidying up."""

from pathlib import Path

import pytest

from resources.beside import TEMPORARY_PREFIX
from resources.storage import Storage, StorageError
from resources.storage.local import LocalBackend
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.disks import make_read_only


def test_write_that_a_disk_refuses_in_the_middle_names_the_file_and_leaves_the_old_one(small_disk: Path) -> None:
    target = small_disk / "table"
    target.write_bytes(b"old")

    def fill(path: Path) -> None:
        path.write_bytes(b"half")
        make_read_only(small_disk)
        path.write_bytes(b"the other half")

    with pytest.raises(StorageError, match=f"cannot write '{target}': Read-only file system; .*AROT_STORE"):
        LocalBackend().fill(str(target), fill)
    assert target.read_bytes() == b"old"


def test_catalogue_on_a_read_only_disk_is_told_by_its_name(small_disk: Path) -> None:
    warehouse = Warehouse(tables=Tables(store=str(small_disk / "store"), storage=Storage()))
    warehouse.refresh()
    make_read_only(small_disk)
    with pytest.raises(StorageError, match=f"'{warehouse.catalog_path}'.*Read-only file system"):
        warehouse.refresh()


def test_what_killed_writers_left_stays_where_nothing_can_be_removed(small_disk: Path) -> None:
    left = small_disk / f"{TEMPORARY_PREFIX}left"
    left.touch()
    make_read_only(small_disk)
    assert Storage().remove_leftovers(str(small_disk), -1) == 0
    assert left.exists()
