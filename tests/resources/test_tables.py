"""The store's files, and what is known of them without reading a row."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.storage import Storage, StorageError
from resources.tables import StoreFile, Tables, TablesError


@pytest.fixture
def tables(tmp_path: Path) -> Tables:
    return Tables(store=str(tmp_path), storage=Storage())


def test_footer_is_that_of_the_file_which_is_there_now(tables: Tables) -> None:
    for number in (1, 2, 3):
        tables.write(pa.table({"x": [0] * number}), StoreFile("t.parquet"), footer={"number": str(number)})
        assert tables.footer(StoreFile("t.parquet")) == {"number": str(number)}
        assert tables.num_rows(StoreFile("t.parquet")) == number
    tables.storage.delete(tables.uri(StoreFile("t.parquet")))
    assert tables.footer_if_any(StoreFile("t.parquet")) is None
    with pytest.raises(TablesError, match=r"t\.parquet.*materialize the asset that writes it"):
        tables.num_rows(StoreFile("t.parquet"))


def test_footer_belongs_to_who_asked_for_it(tables: Tables) -> None:
    tables.write(pa.table({"x": [0]}), StoreFile("t.parquet"), footer={"a": "1"})
    tables.footer(StoreFile("t.parquet"))["a"] = "changed"
    assert tables.footer(StoreFile("t.parquet")) == {"a": "1"}


def test_vectors_of_half_precision_are_not_compressed_and_all_else_is(tables: Tables) -> None:
    numbers = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float16)
    table = pa.table(
        {
            "sample_id": [f"{n:032}" for n in range(50)],
            "vector": pa.FixedSizeListArray.from_arrays(pa.array(numbers.reshape(-1)), 8),
            "boxes": [[{"label": "cat", "score": 0.5}]] * 50,
        }
    )
    tables.write(table, StoreFile("vectors.parquet"))
    tables.write_batches(table.to_batches(20), table.schema, StoreFile("batches.parquet"), {})
    for name in ("vectors.parquet", "batches.parquet"):
        assert tables.read(StoreFile(name)).equals(table)
        group = pq.read_metadata(tables.uri(StoreFile(name))).row_group(0)
        found = {group.column(n).path_in_schema: group.column(n).compression for n in range(group.num_columns)}
        assert found.pop("vector.list.element") == "UNCOMPRESSED"
        assert set(found.values()) == {"ZSTD"} and len(found) == 3


def test_only_values_that_repeat_get_a_dictionary(tables: Tables) -> None:
    rows = 1000
    table = pa.table(
        {
            "id": [f"{n:032x}" for n in range(rows)],
            "status": ["ok"] * rows,
            "score": [n / 7 for n in range(rows)],
            "tags": [["sky", "sea"]] * rows,
            "embedding": pa.array([[0.5, 1.5]] * rows, pa.list_(pa.float16(), 2)),
            "nothing": pa.nulls(rows),
        }
    )
    tables.write(table, StoreFile("t.parquet"))
    assert tables.read(StoreFile("t.parquet")).equals(table)
    columns = pq.ParquetFile(tables.uri(StoreFile("t.parquet"))).metadata.row_group(0)
    found = {
        columns.column(n).path_in_schema: columns.column(n).has_dictionary_page for n in range(columns.num_columns)
    }
    assert {name for name, dictionary in found.items() if dictionary} == {"status", "tags.list.element"}


def test_only_the_version_that_was_read_is_replaced(tables: Tables, tmp_path: Path) -> None:
    place = StoreFile("t.parquet")
    assert tables.version(place) == ""
    tables.write(pa.table({"x": [1]}), place)
    first = tables.version(place)
    tables.write(pa.table({"x": [2]}), place, replacing=first)
    with pytest.raises(StorageError, match="was replaced in the meantime") as error:
        tables.write(pa.table({"x": [3]}), place, replacing=first)
    assert error.value.kind == "changed"
    assert tables.read(place)["x"].to_pylist() == [2]
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"], "nothing half written stays"


def test_rows_of_one_shard_are_read_without_the_rest_of_the_table(tmp_path: Path) -> None:
    tables = Tables(Storage(), str(tmp_path))
    place = StoreFile("inventory.parquet")
    shards = [f"{n // 5000:05}" for n in range(60_000)]
    uris = [f"/photos/{n:08}.jpg" for n in range(60_000)]
    tables.write(pa.table({"uri": uris, "many": [["x" * 90]] * 60_000, "shard": shards}), place)
    file = Path(tables.uri(place))
    damaged = bytearray(file.read_bytes())
    damaged[1000:2000] = bytes(1000)
    file.write_bytes(damaged)
    with pytest.raises(TablesError):
        tables.read(place)
    found = tables.read_where(place, ["uri", "not there yet"], "shard", "00011")
    assert found.to_pydict() == {"uri": uris[55_000:]}
    assert tables.read_where(place, ["uri", "shard"], "shard", "00012").num_rows == 0
