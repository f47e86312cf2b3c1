"""Each row of the table in docs/from-unibox.md is run on every scheme that it names."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest
from PIL import Image

from resources import notebook as nb
from resources.storage import Storage
from tests.conftest import EXAMPLES, REPOSITORY
from tests.resources.test_members import write_tar
from tests.servers.http import Reply, WebServer
from tests.servers.hub import Hub
from tests.servers.swift import Swift

PAGE = REPOSITORY / "docs" / "from-unibox.md"
ROW = re.compile(r"^\| (?P<theirs>.+?) \| `(?P<ours>[^|]+)` \| (?P<schemes>[\w, ]+) \|$", re.MULTILINE)
PHOTO = EXAMPLES / "photo" / "sea"
FRAME = pd.DataFrame({"n": [1, 2], "word": ["a", "b"]})
PACKED = ("table.parquet", "pack.tar")
HOUSEKEEPING = (".gitattributes",)
DATA = {"x": {"a": 1}, "y": {"a": 2}}


class Row(NamedTuple):
    """One call, on one scheme."""

    ours: str
    scheme: str


ROWS = [
    Row(found["ours"], scheme) for found in ROW.finditer(PAGE.read_text()) for scheme in found["schemes"].split(", ")
]


def at(place: str, name: str) -> str:
    """A URI below the place of a scheme."""
    return f"{place}/{name}"


def files() -> dict[str, bytes]:
    """What lies at each place."""
    photo = next(iter(sorted(PHOTO.glob("*.jpg")))).read_bytes()
    return {
        "data.json": b'{"n": 1}',
        "data.jsonl": b'{"n": 1}\n{"n": 2}\n',
        "data.yaml": b"n: 1\n",
        "data.toml": b"n = 1\n",
        "notes.txt": b"one\ntwo\n",
        "table.csv": b"n,word\n1,a\n2,b\n",
        "labels.csv": b"uri,label\nx,good\n",
        "images/a.jpg": photo,
        "images/deep/B.JPG": photo,
        "more/c.jpg": photo,
    }


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A place with files on the scheme that a row names."""
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    nb.saves(FRAME, tmp_path / "table.parquet", storage=Storage())
    write_tar(tmp_path / "pack.tar", {"b.jpg": files()["images/a.jpg"]})
    packed = {name: (tmp_path / name).read_bytes() for name in PACKED}
    prepared = files() | packed
    scheme = request.param
    if scheme == "HTTP":
        monkeypatch.setenv("AROT_HTTP_ALLOW_PRIVATE", "1")
        web: WebServer = request.getfixturevalue("web")
        for name, data in prepared.items():
            web.serve(f"/{name}", Reply(body=data))
        yield web.endpoint
        return
    if scheme == "Hub":
        server: Hub = request.getfixturevalue("hub")
        server.commit(server.create("owner/place"), prepared)
        tables = server.create("owner/repo")
        splits = {f"data/{s}-00000-of-00001.parquet": packed["table.parquet"] for s in ("train", "test")}
        tables.tags["v1"] = server.commit(tables, splits).id
        with server.as_default(tmp_path / "home", server.token):
            yield "hf://datasets/owner/place"
        return
    if scheme == "S3":
        swift: Swift = request.getfixturevalue("swift")
        for name, value in swift.environment().items():
            monkeypatch.setenv(name, value)
        root = f"s3://{request.getfixturevalue('bucket')}"
    else:
        assert scheme == "local"
        root = str(tmp_path / "place")
    for name, data in prepared.items():
        (tmp_path / "prepared" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "prepared" / name).write_bytes(data)
    assert not nb.default_storage().sync(str(tmp_path / "prepared"), root).failed
    yield root


def saved(back: Any) -> Callable[[Any, str], bool]:
    """A check that what was saved can be loaded again."""

    def check(uri: Any, place: str) -> bool:
        loaded = nb.loads(uri)
        return bool(loaded.equals(back)) if isinstance(back, pd.DataFrame) else loaded == back

    return check


IMAGES = ["images/a.jpg", "images/deep/B.JPG", "more/c.jpg"]
CHECKS: dict[str, Callable[[Any, str], Any]] = {
    'nb.loads("s3://bucket/table.csv")': lambda r, p: r.equals(FRAME),
    'nb.loads("s3://bucket/table.parquet", columns=["n"])': lambda r, p: r.equals(FRAME[["n"]]),
    'nb.loads("s3://bucket/data.json")': lambda r, p: r == {"n": 1},
    'nb.loads("s3://bucket/data.jsonl")': lambda r, p: r == [{"n": 1}, {"n": 2}],
    'nb.loads("s3://bucket/data.yaml")': lambda r, p: r == {"n": 1},
    'nb.loads("s3://bucket/data.toml")': lambda r, p: r == {"n": 1},
    'nb.loads("s3://bucket/notes.txt")': lambda r, p: r == ["one", "two"],
    'nb.loads("s3://bucket/images/a.jpg")': lambda r, p: r.format == "JPEG" and r.size[0] > 100,
    'nb.download("s3://bucket/data.json")': lambda r, p: r.read_bytes() == b'{"n": 1}',
    'nb.saves(df, "s3://bucket/new.parquet")': saved(FRAME),
    'nb.saves(df, "s3://bucket/new.cdc.parquet")': saved(FRAME),
    'nb.saves(df, "s3://bucket/new.csv")': saved(FRAME),
    'nb.saves(data, "s3://bucket/new.json")': saved(DATA),
    'nb.saves([data], "s3://bucket/new.jsonl")': saved([DATA]),
    'nb.saves(["a", "b"], "s3://bucket/new.txt")': saved(["a", "b"]),
    'nb.saves(data, "s3://bucket/new.yaml")': saved(DATA),
    'nb.saves(data, "s3://bucket/new.toml")': saved(DATA),
    'nb.saves(image, "s3://bucket/new.png")': lambda r, p: nb.loads(r).getpixel((0, 0)) == (1, 2, 3),
    'nb.ls("s3://bucket", exts=[".jpg"])': lambda r, p: r == [at(p, name) for name in IMAGES],
    'nb.ls("s3://bucket", relative=True)': lambda r, p: (
        r == sorted([*files(), *PACKED, *(HOUSEKEEPING if p.startswith("hf") else ())])
    ),
    'nb.ls("s3://bucket", exts=nb.IMAGES)': lambda r, p: r == [at(p, name) for name in IMAGES],
    'nb.ls(["s3://bucket/images", "s3://bucket/more"])': lambda r, p: r == [at(p, name) for name in IMAGES],
    "[r.value for r in nb.concurrent_loads(uris, workers=8) if r.ok]": lambda r, p: (
        [i.format for i in r] == ["JPEG"] * 2
    ),
    "[(r.uri, r.error.kind) for r in nb.concurrent_loads(uris) if not r.ok]": lambda r, p: (
        r == [(at(p, "missing.jpg"), "not_found")]
    ),
    'nb.concurrent_downloads(uris, "here")': lambda r, p: (
        len({one.value for one in r if one.ok}) == 2 and all(one.value.exists() for one in r if one.ok)
    ),
    "nb.peek(data, 3)": lambda r, p: r.facts == {"keys": 2} and r.head == DATA,
    'nb.peek("s3://bucket/table.parquet")': lambda r, p: r.facts["rows"] == 2 and r.head[1] == {"n": 2, "word": "b"},
    "nb.to_df(data)": lambda r, p: r.to_dict("list") == {"DICT_KEY": ["x", "y"], "a": [1, 2]},
    "nb.gallery(uris, labels, height=150)": lambda r, p: (
        [bool(t.image) for t in r.tiles] == [True, False, True] and [t.label for t in r.tiles] == ["1", "2", "3"]
    ),
    'nb.label_gallery(uris, ["good", "bad"])': lambda r, p: len(r.tiles) == 3 and "good" in r._repr_html_(),
    'nb.read_labels("s3://bucket/labels.csv")': lambda r, p: r.to_dict("list") == {"uri": ["x"], "label": ["good"]},
    'nb.loads("hf://owner/repo")': lambda r, p: r.equals(FRAME),
    'nb.loads("hf://owner/repo", split="test", revision="v1")': lambda r, p: r.equals(FRAME),
    'next(iter(nb.loads("hf://owner/repo", streaming=True)))': lambda r, p: r == {"n": 1, "word": "a"},
    'nb.saves(df, "hf://owner/repo", split="train", private=True)': lambda r, p: (
        r.startswith("hf://datasets/owner/repo@") and nb.loads(r).equals(FRAME)
    ),
    'nb.loads("s3://bucket/pack.tar!/b.jpg")': lambda r, p: r.format == "JPEG",
    'nb.presigns("s3://bucket/data.json", seconds=60)': lambda r, p: r.startswith("http") and "Signature" in r,
    'nb.default_storage().stat("s3://bucket/data.json")': lambda r, p: r.size == 8,
    'nb.default_storage().exists("s3://bucket/data.json")': lambda r, p: r is True,
    'nb.default_storage().copy("s3://bucket/data.json", "s3://bucket/copy.json")': lambda r, p: (
        nb.loads(at(p, "copy.json")) == {"n": 1}
    ),
    'nb.default_storage().sync("s3://bucket/images", "s3://bucket/copies")': lambda r, p: (
        r.copied == 2 and len(nb.ls(at(p, "copies"))) == 2
    ),
    'nb.default_storage().delete("s3://bucket/data.json")': lambda r, p: (
        not nb.default_storage().exists(at(p, "data.json"))
    ),
}
"""Row -> whether its value is right."""


@pytest.mark.parametrize(
    ("row", "place"), [(r, r.scheme) for r in ROWS], ids=lambda value: str(value), indirect=["place"]
)
def test_the_row_does_what_it_says(row: Row, place: str) -> None:
    names = {
        "nb": nb,
        "df": FRAME,
        "data": DATA,
        "image": Image.new("RGB", (4, 4), (1, 2, 3)),
        "uris": [f"{place}/{name}" for name in ("images/a.jpg", "missing.jpg", "more/c.jpg")],
        "labels": [1, 2, 3],
    }
    value = eval(row.ours.replace("s3://bucket", place), names)
    assert CHECKS[row.ours](value, place), value


def test_every_row_of_the_table_is_run() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("|")][2:]
    assert len(lines) == len(ROW.findall(PAGE.read_text()))
    assert {row.ours for row in ROWS} == set(CHECKS)
