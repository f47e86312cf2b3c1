"""A list loses no row to a quote mark, a short first row or a missing header."""

import csv
import gc
import io
import json
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.datasets.listing import list_source
from arot_assets.datasets.sources.rows import column_names, read_rows
from resources import notebook as nb
from resources.storage import Storage, StorageError
from tests.conftest import EXAMPLES

URL = "http://one.example/{}.jpg"
FIELDS = st.text(st.sampled_from('a",\n é\\'), max_size=6)


def rows_of(path: Path, text: str) -> list[dict[str, object] | None]:
    path.write_text(text, encoding="utf-8", newline="")
    return [row for _, row in read_rows(Storage(), str(path))]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.txt"])
def test_lists_are_closed_however_far_they_are_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"url": "x"}\n{"url": "y"}\n{"url": "z"}\n', encoding="utf-8")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        assert len(list(read_rows(Storage(), str(path)))) >= 2
        next(read_rows(Storage(), str(path)))
        column_names(Storage(), str(path))
        gc.collect()
    assert [w for w in found if str(path) in str(w.message)] == []


def test_quote_marks_in_a_tsv_are_characters(tmp_path: Path) -> None:
    captions = ["plain", '"opens only', 'a 12" disc', '"whole"', '" begins', "last"]
    text = "caption\turl\n" + "".join(f"{c}\t{URL.format(n)}\n" for n, c in enumerate(captions))
    assert [r and r["caption"] for r in rows_of(tmp_path / "a.tsv", text)] == captions


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("url;caption\nU;a cat, black\n", {"url": "U", "caption": "a cat, black"}),
        ("url, caption \nU,a cat\n", {"url": "U", "caption": "a cat"}),
        ("url,caption,caption\nU,one,two\n", {"url": "U", "caption": "one", "caption.1": "two"}),
        ("\ufeffurl,caption\r\nU,a; b\r\n", {"url": "U", "caption": "a; b"}),
    ],
)
def test_csv_of_spreadsheets_loses_no_column(tmp_path: Path, text: str, row: dict[str, str]) -> None:
    assert rows_of(tmp_path / "a.csv", text) == [row]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "txt"])
def test_list_in_utf16_is_read(tmp_path: Path, kind: str) -> None:
    """As PowerShell and spreadsheets write them."""
    mark = {"csv": ",", "tsv": "\t"}.get(kind, "")
    lines = {"jsonl": '{"url": "U", "caption": "灯台"}', "txt": "U"}.get(kind, f"url{mark}caption\r\nU{mark}灯台")
    (tmp_path / f"a.{kind}").write_text(lines + "\r\n", encoding="utf-16", newline="")
    found = [row for _, row in read_rows(Storage(), str(tmp_path / f"a.{kind}"))]
    assert found == [{"url": "U"} if kind == "txt" else {"url": "U", "caption": "灯台"}]


@settings(deadline=None)
@given(st.lists(st.tuples(FIELDS, FIELDS), min_size=1, max_size=6), st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_what_a_writer_of_quotes_wrote_is_read_back(tmp_path_factory, pairs: list[tuple[str, str]], style: int) -> None:  # type: ignore[no-untyped-def]
    pairs = [(a, b + "\t") for a, b in pairs]
    target = io.StringIO()
    csv.writer(target, delimiter="\t", quoting=style, lineterminator="\n").writerows([("x", "y"), *pairs])  # type: ignore[arg-type]
    found = rows_of(tmp_path_factory.mktemp("t") / "a.tsv", target.getvalue())
    assert [(r["x"], r["y"]) for r in found if r] == pairs


def test_quote_that_is_never_closed_costs_a_csv_one_line(tmp_path: Path) -> None:
    text = f'caption,url\n"a sign,{URL.format(0)}\nb,{URL.format(1)}\n"two\nlines",{URL.format(2)}\nc,{URL.format(3)}\n'
    found = rows_of(tmp_path / "a.csv", text)
    assert [r and r["caption"] for r in found] == [None, "b", "two\nlines", "c"]


@pytest.mark.parametrize("kind", ["tsv", "csv"])
def test_list_without_a_header_says_so_and_what_to_do(make_dataset, tmp_path: Path, kind: str) -> None:  # type: ignore[no-untyped-def]
    mark = "\t" if kind == "tsv" else ","
    place = tmp_path / f"cc.{kind}"
    place.write_text("".join(f"caption {n}{mark}{URL.format(n)}\n" for n in range(3)))
    with pytest.raises(StorageError, match=r"has no header.*`urls: \{header: \[caption, url\]\}`"):
        make_dataset(place).inventory()
    dataset = make_dataset(place, name="e", urls={"header": ["caption", "url"]})
    assert dataset.inventory().new == 3


def test_columns_are_chosen_from_all_rows(make_dataset, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    place = tmp_path / "a.jsonl"
    rows = [
        {"note": "no address"},
        {"url": URL.format(1)},
        {"url": "https://page.example/2", "image_url": URL.format(2), "caption": "has one"},
    ]
    place.write_text("{broken\n" + "".join(json.dumps(r) + "\n" for r in rows))
    listing = list_source(Storage(), make_dataset(place).declaration)
    found = listing.objects.to_pylist()
    assert [r["uri"] for r in found] == [URL.format(2)]
    assert json.loads(found[0]["metadata"])["caption"] == "has one"
    assert sum(listing.ignored.values()) == 3 and len(listing.problems) == 3


@pytest.mark.parametrize("name", ["spark.parquet", "plain"])
def test_list_in_parts_is_one_list(make_dataset, tmp_path: Path, name: str) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / name
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    (folder / ".part-0.parquet.crc").write_bytes(b"x")
    for n in range(3):
        pq.write_table(pa.table({"URL": [URL.format(n)], "TEXT": [f"caption {n}"]}), folder / f"part-{n}.parquet")
    urls = {} if name.endswith(".parquet") else {"urls": {"parts": True}}
    dataset = make_dataset(folder, **urls)
    assert dataset.inventory().new == 3


def test_notebook_reads_json_lines_with_a_byte_order_mark(tmp_path: Path) -> None:
    (tmp_path / "b.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\n{"a": 2}\n')
    assert nb.loads(tmp_path / "b.jsonl") == [{"a": 1}, {"a": 2}]


def test_pictures_in_lists_and_structs_are_objects(make_dataset, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path / "p"
    folder.mkdir()
    pictures = [p.read_bytes() for p in sorted((EXAMPLES / "photo").rglob("*.jpg"))[:3]]
    table = pa.table({"images": pa.array([pictures[:2], pictures[2:]], pa.list_(pa.binary())), "text": ["one", "two"]})
    pq.write_table(table, folder / "a.parquet")
    dataset = make_dataset(folder, archives={})
    dataset.run()
    rows = dataset.sql("select status, caption from d.samples order by uri")
    assert rows == [("ok", "one"), ("ok", "one"), ("ok", "two")]
