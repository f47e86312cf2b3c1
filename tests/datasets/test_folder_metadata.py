"""Metadata files of image folders: read on every scheme alike, a row at a time; nothing that they say is lost in silence."""

import io
import json
import unicodedata
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from arot_assets.datasets.sources.folder_metadata import NO_OBJECT, UNREADABLE
from resources.storage import Storage
from resources.storage.hub import client as hub_client
from resources.tables import TableRef
from sensors import s3_prefix
from tests.conftest import EXAMPLES, Dataset
from tests.servers.hub import Hub

MakeDataset = Callable[..., Dataset]
PICTURES = [p.read_bytes() for p in sorted((EXAMPLES / "photo").rglob("*.jpg"))]
COMPOSED, DECOMPOSED = "ダム é", unicodedata.normalize("NFD", "ダム é")
Files = Mapping[str, bytes]


def lines(*rows: object) -> bytes:
    return "".join(
        (row if isinstance(row, str) else json.dumps(row, ensure_ascii=False)) + "\n" for row in rows
    ).encode()


@dataclass
class Place:
    """Somewhere to put files, and how a dataset of them is declared."""

    source: str
    put: Callable[[Files], None]
    fields: dict[str, object] = field(default_factory=dict)


@pytest.fixture(params=["disk", "s3", "hub", "zip"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    folder = tmp_path / "pictures"

    def write(files: Files) -> None:
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)

    if request.param == "disk":
        yield Place(str(folder), write)
    elif request.param == "s3":
        swift, bucket = request.getfixturevalue("swift"), request.getfixturevalue("bucket")
        for name, value in swift.environment().items():
            monkeypatch.setenv(name, value)

        def upload(files: Files) -> None:
            for name, data in files.items():
                Storage().write(f"s3://{bucket}/x/{name}", data)

        yield Place(f"s3://{bucket}/x", upload)
    elif request.param == "hub":
        hub: Hub = request.getfixturevalue("hub")
        monkeypatch.setattr(hub_client, "FIRST_WAIT_SECONDS", 0.0)
        monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
        repository = hub.create("owner/pictures")
        with hub.as_default(tmp_path / "home"):
            yield Place("hf://datasets/owner/pictures", lambda files: hub.commit(repository, dict(files)) and None)
    else:
        held: dict[str, bytes] = {}

        def pack(files: Files) -> None:
            held.update(files)
            folder.mkdir(exist_ok=True)
            with zipfile.ZipFile(folder / "a.zip", "w") as archive:
                for name, data in held.items():
                    archive.writestr(name, data)

        yield Place(str(folder), pack, {"archives": {}})


def told(dataset: Dataset) -> tuple[dict[str, str], str]:
    """Image -> caption, and what the inventory says of what was not taken."""
    rows = dataset.sql(
        "select parse_filename(s.uri), caption from d.samples s join d.inventory i using (uri, shard) where state = 'present'"
    )
    footer = dataset.resources.tables.footer(TableRef("d", "inventory"))
    return dict(rows), f"{footer['not_taken']}\n{footer['problems']}"


def test_rows_are_captions_of_their_pictures_everywhere(place: Place, make_dataset: MakeDataset) -> None:
    place.put(
        {
            "metadata.jsonl": lines(
                {"file_name": "a.jpg", "text": "of a", "score": 3},
                {"file_name": "./sub/b.jpg", "text": "of b"},
                {"file_name": "sub\\c.jpg", "text": "of c"},
                {"file_name": f"{COMPOSED}.jpg", "text": "of d"},
                {"file_name": "gone.jpg", "text": "of none"},
            ),
            "a.jpg": PICTURES[0],
            "sub/b.jpg": PICTURES[1],
            "sub/c.jpg": PICTURES[2],
            f"{DECOMPOSED}.jpg": PICTURES[3],
            "csv/metadata.csv": b'file_name,text\nE.JPG,"caption, of e"\nf.jpg,"two\nlines"\n',
            "csv/e.jpg": PICTURES[4],
            "csv/f.jpg": PICTURES[5],
        }
    )
    dataset = make_dataset(place.source, **place.fields)
    dataset.run()
    captions, text = told(dataset)
    assert captions == {
        "a.jpg": "of a",
        "b.jpg": "of b",
        "c.jpg": "of c",
        f"{DECOMPOSED}.jpg": "of d",
        "e.jpg": "caption, of e",
        "f.jpg": "two\nlines",
    }
    assert dataset.sql("select sidecar from d.samples where caption = 'of a'") == [('{"score":3}',)]
    assert f"1 x {NO_OBJECT}" in text and "'gone.jpg'" in text
    assert ".jsonl" not in text.split("\n")[0] and ".csv" not in text.split("\n")[0]
    assert not dataset.inventory().differs
    assert told(dataset) == (captions, text), "what was said is said again, though nothing was read"


def test_changed_file_reads_only_the_rows_that_it_changed(place: Place, make_dataset: MakeDataset) -> None:
    rows = [{"file_name": f"{n}.jpg", "text": f"of {n}"} for n in range(4)]
    place.put({"metadata.jsonl": lines(*rows), **{f"{n}.jpg": PICTURES[n] for n in range(3)}})
    dataset = make_dataset(place.source, **place.fields)
    dataset.run()
    rows[1]["text"] = "another text of 1"
    place.put({"metadata.jsonl": lines(*rows)})
    if place.fields:  # another zip file has other members
        dataset.run()
    else:
        assert dataset.inventory().changed == 1 and sum(dataset.samples().values()) == 1
    assert told(dataset)[0]["1.jpg"] == "another text of 1"
    assert "'3.jpg'" in told(dataset)[1]
    place.put({"3.jpg": PICTURES[3]})
    dataset.run()
    assert told(dataset)[0]["3.jpg"] == "of 3"
    assert "'3.jpg'" not in told(dataset)[1]


@pytest.fixture
def disk(tmp_path: Path, make_dataset: MakeDataset) -> Callable[[Files], Dataset]:
    """Makes a dataset of files on disk, and runs it."""

    def make(files: Files) -> Dataset:
        folder = tmp_path / "pictures"
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        dataset = make_dataset(folder)
        dataset.run()
        return dataset

    return make


def row_of(dataset: Dataset, name: str) -> tuple[str | None, list[str], Any, list[str]]:
    """Caption, tags, sidecar and notes of a image."""
    ((caption, tags, sidecar, notes),) = dataset.sql(
        f"select caption, tags, sidecar, notes from d.samples where uri like '%/{name}'"
    )
    return caption, tags, sidecar and json.loads(sidecar), notes


def test_columns_are_chosen_from_all_rows(disk: Callable[[Files], Dataset]) -> None:
    dataset = disk(
        {
            "metadata.jsonl": lines(
                {"file_name": "a.jpg"},
                {"file_name": "b.jpg", "caption": "of b", "tags": ["x", "y"], "n": 1},
                {"file_name": "c.jpg", "text": "of c"},
            ),
            "a.jpg": PICTURES[0],
            "b.jpg": PICTURES[1],
            "c.jpg": PICTURES[2],
        }
    )
    assert row_of(dataset, "b.jpg") == ("of b", ["x", "y"], {"n": 1}, [])
    assert row_of(dataset, "a.jpg") == (None, [], None, [])
    assert row_of(dataset, "c.jpg") == ("of c", [], None, [])


def test_bad_row_costs_itself_alone(disk: Callable[[Files], Dataset]) -> None:
    deep = "[" * 500 + "]" * 500
    dataset = disk(
        {
            "metadata.jsonl": lines(
                "{broken",
                {"text": "no name"},
                "[1, 2]",
                {"file_name": 7, "text": "no name either"},
                {"file_name": "a.jpg", "text": "of a"},
                "[" * 100_000,
                f'{{"file_name": "b.jpg", "text": "of b", "deep": {deep}}}',
                {"file_name": "c.jpg", "text": {"en": "of c", "de": "von c"}},
            )
            + '{"file_name": "d.jpg", "text": "маяк'.encode("cp1251")
            + '"}\n{"file_name": "e.jpg", "text": "一个女孩站在海边，看着夕阳"}\n'.encode("gbk"),
            **{f"{name}.jpg": PICTURES[n] for n, name in enumerate("abcde")},
        }
    )
    captions, text = told(dataset)
    assert f"5 x {UNREADABLE}" in text and "1, 2, 3, 4, 6" in text
    assert (captions["a.jpg"], captions["b.jpg"]) == ("of a", "of b")
    assert row_of(dataset, "b.jpg")[3] == ["bad_sidecar"]
    assert row_of(dataset, "c.jpg") == ("of c", [], {"caption": {"en": "of c", "de": "von c"}}, ["several_captions"])
    assert row_of(dataset, "d.jpg")[3] == ["bad_sidecar"] and row_of(dataset, "d.jpg")[0] is None
    assert set(row_of(dataset, "d.jpg")[2]["text"]) == {"base64"}
    assert captions["e.jpg"] == "一个女孩站在海边，看着夕阳"


def test_rows_of_several_pictures_speak_of_each(disk: Callable[[Files], Dataset]) -> None:
    dataset = disk(
        {
            "edits/metadata.jsonl": lines(
                {"before_file_name": "a.jpg", "after_file_name": "b.jpg", "text": "make it blue"},
                {"file_names": ["c.jpg", "d.jpg"], "text": "both"},
                {"messages": [{"image_file_name": "e.jpg", "role": "user"}], "text": "talk"},
            ),
            **{f"edits/{name}.jpg": PICTURES[n] for n, name in enumerate("abcde")},
        }
    )
    pair = {"before_file_name": "a.jpg", "after_file_name": "b.jpg"}
    assert row_of(dataset, "a.jpg") == row_of(dataset, "b.jpg") == ("make it blue", [], pair, [])
    assert row_of(dataset, "c.jpg") == row_of(dataset, "d.jpg") == ("both", [], {"file_names": ["c.jpg", "d.jpg"]}, [])
    assert row_of(dataset, "e.jpg")[0] == "talk"


def test_several_rows_of_one_picture_are_all_kept(disk: Callable[[Files], Dataset]) -> None:
    """As collections of five captions an image have them."""
    dataset = disk(
        {
            "metadata.jsonl": lines(
                *({"file_name": "a.jpg", "caption": text, "n": n} for n, text in enumerate(("one", "two", "two"))),
                {"file_name": "sub/b.jpg", "caption": "from above", "tags": "far"},
            ),
            "sub/metadata.csv": b"file_name,caption,tags\nb.jpg,from beside,near\n",
            "a.jpg": PICTURES[0],
            "sub/b.jpg": PICTURES[1],
        }
    )
    assert row_of(dataset, "a.jpg") == ("one", [], {"n": [0, 1, 2], "caption": ["one", "two"]}, ["several_captions"])
    caption, tags, sidecar, notes = row_of(dataset, "b.jpg")
    assert (caption, sorted(tags), notes) == ("from beside", ["far", "near"], ["several_captions"])
    assert sidecar["caption"] == ["from beside", "from above"]


def test_text_beside_a_picture_goes_before_and_nothing_is_lost(disk: Callable[[Files], Dataset]) -> None:
    dataset = disk(
        {
            "metadata.jsonl": lines(
                *({"file_name": f"{n}.jpg", "text": "of the list", "n": 1} for n in "abc"),
            ),
            **{f"{name}.jpg": PICTURES[n] for n, name in enumerate("abc")},
            "a.txt": b"of the file",
            "b.txt": b"of the list",
            "c.json": b'{"caption": "of the record", "x": 2}',
        }
    )
    assert row_of(dataset, "a.jpg") == ("of the file", [], {"caption": "of the list", "n": 1}, ["several_captions"])
    assert row_of(dataset, "b.jpg") == ("of the list", [], {"n": 1}, [])
    beside = {"caption": "of the record", "x": 2, ".list": {"caption": "of the list", "n": 1}}
    assert row_of(dataset, "c.jpg") == ("of the record", [], beside, ["several_captions"])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_csv_of_spreadsheets_is_read(disk: Callable[[Files], Dataset], encoding: str, end: str) -> None:
    text = end.join(["file_name,text,rating", "a.jpg,灯台,5", '"b.jpg","a ""b"", c",', ""])
    dataset = disk({"metadata.csv": text.encode(encoding), "a.jpg": PICTURES[0], "b.jpg": PICTURES[1]})
    assert row_of(dataset, "a.jpg") == ("灯台", [], {"rating": "5"}, [])
    assert row_of(dataset, "b.jpg") == ('a "b", c', [], None, [])


def test_parquet_is_metadata_if_it_names_files(disk: Callable[[Files], Dataset]) -> None:
    def parquet(**columns: list[Any]) -> bytes:
        target = io.BytesIO()
        pq.write_table(pa.table(columns), target)
        return target.getvalue()

    dataset = disk(
        {
            "metadata.parquet": parquet(file_name=[None, "a.jpg"], text=["x", "of a"], tags=[[], ["t"]]),
            "other/metadata.parquet": parquet(number=[1, 2]),
            "a.jpg": PICTURES[0],
        }
    )
    assert row_of(dataset, "a.jpg") == ("of a", ["t"], None, [])
    text = told(dataset)[1]
    assert f"1 x {UNREADABLE}" in text and "1 x .parquet" in text


@pytest.mark.parametrize("data", [b"id,label\n1,cat\n", b"", b"\x00\x01\xff", b"http://x/a.jpg,cat\n"])
def test_file_that_names_nothing_is_said_to_say_nothing(disk: Callable[[Files], Dataset], data: bytes) -> None:
    dataset = disk({"metadata.csv": data, "a.jpg": PICTURES[0]})
    captions, text = told(dataset)
    assert captions == {"a.jpg": None} and "1 x .csv" in text and "metadata.csv" in text.partition("\n")[2]


def test_names_lead_to_no_other_folder(disk: Callable[[Files], Dataset], tmp_path: Path) -> None:
    (tmp_path / "outside.jpg").write_bytes(PICTURES[5])
    names = ["../outside.jpg", "../a/b.jpg", str(tmp_path / "outside.jpg"), "https://x.example/a.jpg", "a.txt", ".."]
    dataset = disk(
        {
            "c/metadata.jsonl": lines(*({"file_name": n, "text": n} for n in names)),
            "a/b.jpg": PICTURES[0],
            "c/a.txt": b"x",
        }
    )
    captions, text = told(dataset)
    assert captions == {"b.jpg": "../a/b.jpg"} and f"5 x {NO_OBJECT}" in text


def test_sensor_of_a_prefix_sees_other_metadata_and_is_quiet_otherwise(
    swift, bucket: str, make_dataset: MakeDataset, monkeypatch: pytest.MonkeyPatch
) -> None:  # type: ignore[no-untyped-def]
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("resources.storage.s3.backend.PAGE", 4)
    monkeypatch.setattr(s3_prefix, "WINDOW", 8)
    root = f"s3://{bucket}/x"
    names = [f"{n:02}" for n in range(20)]
    for name in names:
        Storage().write(f"{root}/{name}.jpg", name.encode())
    Storage().write(f"{root}/{COMPOSED}.jpg", b"x")
    Storage().write(f"{root}/{DECOMPOSED}.txt", b"far away in order")
    Storage().write(f"{root}/metadata.jsonl", lines(*({"file_name": f"{n}.jpg", "text": n} for n in names)))
    dataset = make_dataset(root)
    dataset.inventory()

    def looks() -> list[str]:
        said, after = [], ""
        while True:
            found = s3_prefix.look(dataset.resources.storage, dataset.resources.tables, dataset.declaration, after)
            said += [found.change.text] if found.change else []
            after = found.after
            if not after:
                return said

    assert looks() == []
    Storage().write(f"{root}/metadata.jsonl", lines(*({"file_name": f"{n}.jpg", "text": n * 2} for n in names)))
    assert [text.partition(",")[2] for text in looks()] and all("1 other metadata file" in text for text in looks())
    assert dataset.inventory().changed == 20
    assert looks() == []
    Storage().delete(f"{root}/metadata.jsonl")
    assert looks()
    assert dataset.inventory().changed == 20
    assert looks() == []
