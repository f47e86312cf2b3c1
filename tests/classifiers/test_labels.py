"""Labels that cannot be meant are said, with the names of the samples."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.label_query import LabelError, query_tables
from arot_assets.classifiers.labels import read_labels, unknown_samples
from resources.warehouse.lake import Connection
from tests.plain_views import plain_connection

ROOT = "/pictures"
IDS = [hashlib.sha256(str(i).encode()).hexdigest()[:32] for i in range(6)]


@pytest.fixture
def con(tmp_path: Path) -> Iterator[Connection]:
    """Six images in two class folders; nothing ever left."""
    with plain_connection(tmp_path) as con:
        con.execute("create schema demo")
        con.execute("create table rows (sample_id varchar, uri varchar, status varchar, tags varchar[])")
        for i, sample_id in enumerate(IDS):
            uri = f"{ROOT}/{'cat' if i % 2 else 'dog'}/{i}.png"
            con.execute("insert into rows values (?, ?, 'ok', ['a', 'b'])", [sample_id, uri])
        con.execute("create view demo.samples as from rows")
        con.execute("create table objects as select uri, 'present' as state from rows")
        con.execute("create view demo.inventory as from objects")
        yield con


def declared(**labels: object) -> ClassifierDeclaration:
    return ClassifierDeclaration.model_validate({"name": "kind", "dataset": "demo", "labels": labels})


def by_query(con: Connection, sql: str) -> dict[str, str]:
    rows = read_labels(con, declared(from_sql=sql), ROOT).to_pylist()
    return {r["sample_id"]: r["label"] for r in rows}


LABEL = "case when uri like '%/cat/%' then 'cat' else 'dog' end as label"


def test_labels_of_samples_that_are_there_are_taken(con):
    assert by_query(con, f"select sample_id, {LABEL} from demo.samples;") == {
        i: "cat" if k % 2 else "dog" for k, i in enumerate(IDS)
    }


def test_one_picture_in_two_class_folders_is_said_with_its_places(con):
    con.execute("insert into rows values (?, '/pictures/cat/copy.png', 'duplicate', null)", [IDS[0]])
    with pytest.raises(LabelError, match=f"sample {IDS[0]} has two labels, 'cat' and 'dog'.*cat/copy.png, .*dog/0.png"):
        read_labels(con, declared(from_folder=1), ROOT)


def test_second_copy_in_the_same_class_folder_is_one_label(con):
    con.execute("insert into rows values (?, '/pictures/dog/copy.png', 'duplicate', null)", [IDS[0]])
    assert read_labels(con, declared(from_folder=1), ROOT).num_rows == len(IDS)


def test_file_names_as_ids_are_said_by_name(con):
    with pytest.raises(
        LabelError, match=r"6 of 6 labelled samples are not in 'demo': 0.png, .*join demo.samples on its uri"
    ):
        by_query(con, f"select parse_filename(uri) as sample_id, {LABEL} from demo.samples")


def test_ids_that_do_not_exist_are_said_by_name(con):
    sql = (
        f"select case when uri like '%/0.png' then 'ffffffff' || sample_id[9:] else sample_id end as sample_id, {LABEL}"
    )
    with pytest.raises(LabelError, match=f"1 of 6 labelled samples are not in 'demo': ffffffff{IDS[0][8:]}"):
        by_query(con, f"{sql} from demo.samples")


def test_label_of_a_picture_that_left_the_source_stands_in_nobodys_way(con):
    con.execute("create table mine as select sample_id, " + LABEL + " from rows")
    con.execute("delete from rows where uri like '%/5.png'")
    con.execute("update objects set state = 'gone' where uri like '%/5.png'")
    declaration = declared(from_sql="from mine")
    assert unknown_samples(con, declaration, read_labels(con, declaration, ROOT)) == [IDS[5]]


@pytest.mark.parametrize("label", ["tags", "{'a': 1}", "[1]"])
def test_list_labels_are_said_with_a_sample(con, label):
    with pytest.raises(LabelError, match=r"label contains lists or structs .* sample [0-9a-f]{32}; .*choose one"):
        by_query(con, f"select sample_id, {label} as label from demo.samples")


def test_numbers_are_labels(con):
    assert set(by_query(con, "select sample_id, (uri like '%/cat/%')::int as label from demo.samples").values()) == {
        "0",
        "1",
    }


@pytest.mark.parametrize("sql", ["select sample_id, 'it''s as label from demo.samples", 'select sample_id, "x from t'])
def test_unclosed_quote_is_one_error(con, sql):
    with pytest.raises(LabelError, match=r"kind: labels cannot be read: .*try the query with `arot sql`"):
        by_query(con, sql)
    with pytest.raises(LabelError, match="is not SQL"):
        query_tables(sql)


def test_file_in_a_query_is_no_table():
    assert query_tables("select sample_id, label from 'labels.csv' join demo.samples using (sample_id)") == [
        ("demo", "samples")
    ]
