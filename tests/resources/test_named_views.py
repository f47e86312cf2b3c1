"""A connection creates the views that statements name; ``wide`` joins the tables whose columns they use."""

from collections.abc import Sequence

import duckdb
import pytest

from resources.warehouse.named import named
from tests.conftest import Dataset


def made(con: duckdb.DuckDBPyConnection) -> set[str]:
    rows = con.execute("select schema_name || '.' || view_name from duckdb_views() where not internal").fetchall()
    return {name for (name,) in rows}


def joined(dataset: Dataset, sql: str) -> set[str]:
    """The tables that ``wide`` joins for a statement."""
    with dataset.resources.warehouse.connect() as con:
        con.execute(sql)
        ((text,),) = con._raw.execute("select sql from duckdb_views() where view_name = 'wide'").fetchall()
    return {table for table in ("phash", "cv2") if f"JOIN d.{table}" in text}


@pytest.fixture
def measured(dataset: Dataset) -> Dataset:
    dataset.run("phash", "cv2")
    return dataset


def test_statement_has_the_views_that_it_names_and_no_others(measured: Dataset) -> None:
    with measured.resources.warehouse.connect() as con:
        assert made(con._raw) == set()
        assert con.execute("select count(*) from d.phash p where p.status = 'ok'").fetchone() == (12,)
        assert made(con._raw) == {"d.phash"}
        con.execute('select count(*) from "D"."CV2"')
        assert made(con._raw) == {"d.phash", "d.cv2"}


@pytest.mark.parametrize(
    "sql",
    [
        "show all tables",
        "select * from duckdb_views()",
        "select * from information_schema.tables",
        "pivot d.samples on status using count(*)",
        "create table mine (one int)",
    ],
)
def test_statement_that_may_read_anything_has_all_views(measured: Dataset, sql: str) -> None:
    with measured.resources.warehouse.connect() as con:
        con.execute(sql)
        assert made(con._raw) == {"d.inventory", "d.samples", "d.phash", "d.cv2", "d.wide"}


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("select count(*) from d.wide", set()),
        ("select uri, width from d.wide where width > 10", set()),
        ("select max(phash__phash) from d.wide", {"phash"}),
        ("select w.PHASH__status from d.wide w where exists (select 1 from d.samples)", {"phash"}),
        ("with small as (select uri, cv2__sharpness as s from d.wide) select uri from small", {"cv2"}),
        ("select uri from d.wide order by phash__phash, cv2__sharpness", {"phash", "cv2"}),
        ("select * from d.wide", {"phash", "cv2"}),
        ("select w.* exclude (uri) from d.wide w", {"phash", "cv2"}),
        ("select columns('sharp') from d.wide", {"phash", "cv2"}),
        ("select wide from d.wide", {"phash", "cv2"}),
        ("select count(w) from d.wide as w", {"phash", "cv2"}),
        ("select #30 from d.wide", {"phash", "cv2"}),
        ("select b from d.wide as w(a, b)", {"phash", "cv2"}),
        ("select uri from d.wide natural join d.samples", {"phash", "cv2"}),
        ("describe d.wide", {"phash", "cv2"}),
        ("create temp table kept as select cv2__sharpness from d.wide", {"cv2"}),
    ],
)
def test_wide_joins_the_tables_whose_columns_a_statement_uses(measured: Dataset, sql: str, tables: set[str]) -> None:
    assert joined(measured, sql) == tables


def test_wide_serves_statements_in_any_order(dataset: Dataset) -> None:
    first = min(path for path in dataset.source.rglob("*") if path.is_file())
    (dataset.source / f"zz-again{first.suffix}").write_bytes(first.read_bytes())
    (dataset.source / "zz-damaged.jpg").write_bytes(b"\xff\xd8\xff")
    dataset.run("phash", "cv2")
    statements: Sequence[str] = (
        "select * from d.wide order by uri",
        "select uri, phash__phash from d.wide order by uri",
        "select uri, cv2__sharpness, phash__phash from d.wide order by uri",
        "select count(*) from d.wide",
        "select uri, phash__phash from d.wide where width > 10 or phash__phash is null order by uri",
        "select * from d.wide where cv2__sharpness is null or phash__status = 'ok' order by uri",
        "select table_name from information_schema.tables order by 1",
        "select uri, cv2__sharpness from d.wide order by uri",
    )
    with duckdb.connect(str(catalogue(dataset)), read_only=True) as whole:
        expected = [whole.execute(sql).fetchall() for sql in statements]
    assert {"ok", "corrupt", "duplicate"} <= {value for row in expected[0] for value in row if isinstance(value, str)}
    for order in (statements, statements[::-1]):
        with dataset.resources.warehouse.connect() as con:
            found = {sql: con.execute(sql).fetchall() for sql in order}
        assert [found[sql] for sql in statements] == expected


def catalogue(dataset: Dataset) -> str:
    dataset.resources.warehouse.refresh()
    return str(dataset.resources.warehouse.catalog_path)


def test_error_of_a_misspelt_column_suggests_those_of_all_tables(measured: Dataset) -> None:
    with (
        measured.resources.warehouse.connect() as con,
        pytest.raises(duckdb.BinderException, match="cv2__sharpness"),
    ):
        con.execute("select cv_2__sharpness from d.wide")


def test_table_that_comes_to_be_later_is_there(measured: Dataset) -> None:
    with measured.resources.warehouse.connect() as con:
        with pytest.raises(duckdb.CatalogException):
            con.execute("select count(*) from e.samples")
        Dataset(measured.resources, measured.source, name="f").run("phash")
        assert con.execute("select count(*) from f.phash").fetchone() == (12,)


def test_damaged_table_spoils_only_what_uses_it(measured: Dataset) -> None:
    from pathlib import Path

    from resources.tables import TableRef, TablesError

    for shard in measured.shards():
        Path(measured.resources.tables.uri(TableRef("d", "phash", shard))).write_bytes(b"")
    with measured.resources.warehouse.connect() as con:
        assert con.execute("select count(cv2__sharpness) from d.wide").fetchone() == (12,)
        for sql in ("select phash__phash from d.wide", "select * from d.wide"):
            with pytest.raises(TablesError, match="is not a Parquet file"):
                con.execute(sql)
        assert con.execute("select count(cv2__sharpness) from d.wide").fetchone() == (12,)
        assert set(con.faults) == {"d.phash", "d.wide"}


def test_words_in_texts_count_as_names() -> None:
    with duckdb.connect() as con:
        found = named(con, "select case when kind = 'cv2__x' then 1 end from d.wide")
    assert found is not None and found.uses("cv2") and not found.uses("phash")
