"""What `arot sql -o …` writes can be read by what comes after it: shells, JSON parsers, DuckDB."""

import csv
import io
import json
import re
from pathlib import Path

import duckdb
import pytest

from arot_assets.cli.sql import _with_hint, encode


def encoded(query: str, kind: str) -> bytes:
    with duckdb.connect() as con:
        return encode(con.sql(query), kind)


def refuse(constant: str) -> object:
    raise AssertionError(f"{constant} is no JSON")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("select 'nan'::double as n, 'inf'::double as i, '-inf'::float as f", [{"n": None, "i": None, "f": None}]),
        ("select ['nan'::double, 1] as l, {'x': 'inf'::double} as s", [{"l": [None, 1.0], "s": {"x": None}}]),
        ("select 1 as a, 2 as a, 3 as A", [{"a": 1, "a_1": 2, "A_2": 3}]),
        ("select 1 as a, 2 as a_1, 3 as a", [{"a": 1, "a_1": 2, "a_2": 3}]),
        ("select '101'::bit as b, interval 1 day as i", [{"b": "101", "i": "1 day"}]),
        ("select 'a\\xAA'::blob as b", [{"b": "a\\xAA"}]),
        ("select 'ü' as \"größe\", null as n, true as t", [{"größe": "ü", "n": None, "t": True}]),
        ("select date '2024-01-02' as d", [{"d": "2024-01-02"}]),
        ("select 1 as a where false", []),
    ],
)
def test_json_is_json_and_loses_no_column(query: str, expected: object):
    assert json.loads(encoded(query, "json"), parse_constant=refuse) == expected


def test_csv_lines_end_with_a_line_feed_alone():
    assert encoded("select 1 as a, 'x, y' as b, interval 1 day as i", "csv") == b'a,b,i\n1,"x, y",1 day\n'


def test_csv_keeps_columns_of_one_name_and_line_ends_in_values():
    rows = list(csv.reader(io.StringIO(encoded("select E'p\\nq' as a, 2 as a", "csv").decode())))
    assert rows == [["a", "a"], ["p\nq", "2"]]


@pytest.mark.parametrize(
    "query", ["select interval 1 day as i", "select 1 as a, 2 as A", "select '101'::bit as b", "select 5::hugeint as h"]
)
def test_parquet_holds_what_duckdb_holds(tmp_path: Path, query: str):
    path = tmp_path / "o.parquet"
    path.write_bytes(encoded(query, "parquet"))
    with duckdb.connect() as con:
        read = con.sql(f"from '{path}'").fetchall()
        assert [re.sub(r"\.0$", "", str(v)) for v in read[0]] == [str(v) for v in con.sql(query).fetchall()[0]]


def test_misspelt_table_is_looked_for_in_the_schema_that_was_written():
    with duckdb.connect() as con:
        for schema in ("cats", "dogs"):
            con.execute(f"create schema {schema}; create view {schema}.samples as select 1 as a")
        for query in ("select * from dogs.sampls", 'select * from "dogs"."sampls"'):
            with pytest.raises(duckdb.CatalogException) as failed:
                con.sql(query)
            assert "no table 'dogs.sampls'. Did you mean 'dogs.samples'?" in _with_hint(con, query, failed.value)
