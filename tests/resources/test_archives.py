"""Archives as people really make them: nothing in them is lost, and no hostile one costs more than a row that says so."""

import base64
import bz2
import gzip
import io
import json
import lzma
import os
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.storage import Storage, StorageError
from resources.storage.members.backend import MembersBackend
from resources.storage.members.reader import numbered
from tests.conftest import EXAMPLES
from tests.tiers import draws

PICTURES = [p.read_bytes() for p in sorted((EXAMPLES / "photo").rglob("*.jpg"))[:4]]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing is kept in the user's own cache."""
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def tar_of(*files: tuple[str, bytes | str | None], hard: bool = False) -> bytes:
    """A tar; of text a link to it, of None a folder."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        for name, data in files:
            head = tarfile.TarInfo(name)
            if isinstance(data, bytes):
                head.size = len(data)
            elif data is None:
                head.type = tarfile.DIRTYPE
            else:
                head.type, head.linkname = tarfile.LNKTYPE if hard else tarfile.SYMTYPE, data
            archive.addfile(head, io.BytesIO(data) if isinstance(data, bytes) else None)
    return target.getvalue()


def contents(path: Path) -> dict[str, bytes]:
    """All that an archive lists, read."""
    storage = Storage()
    return {i.uri.partition("!/")[2]: storage.read_bytes(i.uri) for i in storage.ls(f"{path}!/")}


def error_of(uri: str) -> StorageError:
    with pytest.raises(StorageError) as caught:
        Storage().read_bytes(uri)
    return caught.value


def test_name_that_occurs_twice_loses_nothing(tmp_path: Path) -> None:
    place = tmp_path / "a.tar"
    place.write_bytes(
        tar_of(("d/x.l.jpg", b"1"), ("d/x.txt", b"one"), ("d/x.l.jpg", b"2"), ("d/x.txt", b"two"), ("y", b"3"))
    )
    expected = {"d/x~1.l.jpg": b"1", "d/x~1.txt": b"one", "d/x.l.jpg": b"2", "d/x.txt": b"two", "y": b"3"}
    assert contents(place) == expected
    assert "'d/x.l.jpg'" in Storage().using(MembersBackend).opened(str(place)).content.notes[0]


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("a~1./"), min_size=1, max_size=5), max_size=12))
def test_every_member_has_a_name_of_its_own(names: list[str]) -> None:
    result = numbered(names)
    assert len(set(result)) == len(names)
    last = {name: n for n, name in enumerate(names)}
    assert all(result[n] == name for name, n in last.items())


@pytest.mark.parametrize("hard", [True, False])
def test_links_are_the_files_that_they_lead_to(tmp_path: Path, hard: bool) -> None:
    place = tmp_path / "a.tar"
    there = "./d/a.jpg" if hard else "../d/a.jpg"
    place.write_bytes(tar_of(("./d/a.jpg", b"1"), ("./e/b.jpg", there), ("./e/b.txt", b"text"), hard=hard))
    assert contents(place) == {"./d/a.jpg": b"1", "./e/b.jpg": b"1", "./e/b.txt": b"text"}


def test_links_that_lead_to_no_file_say_where_to(tmp_path: Path) -> None:
    place = tmp_path / "a.tar"
    links = {"out.jpg": "../../etc/passwd", "abs.jpg": "/etc/passwd", "self.jpg": "self.jpg", "gone.jpg": "none.jpg"}
    links |= {f"l{n}.jpg": f"l{(n + 1) % 3}.jpg" for n in range(3)}
    place.write_bytes(tar_of(("d", None), ("d/a.jpg", b"1"), ("folder", "d"), *links.items()))
    assert contents(place) == {"d/a.jpg": b"1"}
    entries = {e.name: e.problem for e in Storage().using(MembersBackend).opened(str(place)).content.entries()}
    assert set(entries) == {"d/a.jpg", *links}
    for name in links:
        error = error_of(f"{place}!/{name}")
        assert error.kind == "not_found" and "a link to" in str(error)


def test_tars_one_after_another_are_one(tmp_path: Path) -> None:
    one, two = tar_of(("1.jpg", PICTURES[0])), tar_of(("2.jpg", PICTURES[1]), ("1.txt", b"x"))
    place = tmp_path / "cat.tar"
    place.write_bytes(one + two)
    assert set(contents(place)) == {"1.jpg", "2.jpg", "1.txt"}
    place.write_bytes(one + bytes(3 * 512) + two + bytes(10240))
    assert set(contents(place)) == {"1.jpg", "2.jpg", "1.txt"}


@pytest.mark.parametrize("tail", [b"garbage" * 200, b"x"])
def test_what_follows_the_end_and_is_no_tar_is_told(tmp_path: Path, tail: bytes) -> None:
    place = tmp_path / "a.tar"
    place.write_bytes(tar_of(("1.jpg", b"1")) + tail)
    opened = Storage().using(MembersBackend).opened(str(place))
    assert [e.name for e in opened.content.entries()] == ["1.jpg"] and "not a tar header" in str(opened.content.problem)


def test_damage_in_the_middle_does_not_end_a_tar_in_silence(tmp_path: Path) -> None:
    data = bytearray(tar_of(("1.jpg", b"1" * 600), ("2.jpg", b"2" * 600), ("3.jpg", b"3" * 600)))
    data[512 + 1024 + 100] ^= 0xFF
    (tmp_path / "a.tar").write_bytes(data)
    assert Storage().using(MembersBackend).opened(f"{tmp_path}/a.tar").content.problem is not None


def zstd(data: bytes) -> bytes:
    return pa.compress(data, codec="zstd", asbytes=True)


COMPRESS = {"gz": gzip.compress, "z2": bz2.compress, "xz": lzma.compress, "st": zstd}
"""By the last two letters of a name."""


def test_xz_that_asks_for_too_much_memory_is_one_error(tmp_path: Path, cache: Path) -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 29}]
    place = tmp_path / "a.tar.xz"
    place.write_bytes(lzma.compress(tar_of(("1.jpg", PICTURES[0])), filters=filters))
    with pytest.raises(StorageError, match=r"a\.tar\.xz.*Memory usage limit"):
        list(Storage().ls(f"{place}!/"))


@pytest.mark.parametrize("kind", ["tar.gz", "tgz", "tar.bz2", "tbz2", "tar.xz", "txz", "tar.zst", "tzst", "TAR.GZ"])
def test_compressed_tars_are_unpacked_once(tmp_path: Path, cache: Path, kind: str) -> None:
    place = tmp_path / f"a.{kind}"
    compress = COMPRESS[kind.lower()[-2:]]
    data = tar_of(("1.jpg", PICTURES[0]), ("1.txt", b"x"), ("2.jpg", PICTURES[1]))
    place.write_bytes(
        compress(data[:5000]) + compress(data[5000:])
    )  # two streams are one, as for gzip, bzip2, xz and zstd
    assert contents(place) == {"1.jpg": PICTURES[0], "1.txt": b"x", "2.jpg": PICTURES[1]}
    kept = [p for p in cache.rglob("*") if p.is_file() and p.stat().st_size]
    assert len(kept) == 1
    before = kept[0].stat().st_mtime_ns
    assert contents(place)["1.txt"] == b"x" and kept[0].stat().st_mtime_ns == before
    place.write_bytes(compress(tar_of(("3.jpg", b"changed"))))
    assert contents(place) == {"3.jpg": b"changed"}


@pytest.mark.parametrize("kind", ["tar.gz", "tar.bz2", "tar.xz", "tar.zst"])
@pytest.mark.parametrize("fault", ["bomb", "cut", "noise", "empty"])
def test_compressed_tar_that_cannot_be_unpacked_is_one_error(
    tmp_path: Path, cache: Path, kind: str, fault: str
) -> None:
    compress = COMPRESS[kind[-2:]]
    data = {
        "bomb": lambda: compress(bytes(80_000_000)),
        "cut": lambda: compress(tar_of(("1.jpg", PICTURES[0])))[:-500],
        "noise": lambda: os.urandom(3000),
        "empty": lambda: b"",
    }[fault]()
    place = tmp_path / f"a.{kind}"
    place.write_bytes(data)
    with pytest.raises(StorageError) as caught:
        list(Storage().ls(f"{place}!/"))
    assert caught.value.kind == "format" and str(place) in str(caught.value)
    assert not [p for p in cache.rglob("*") if p.is_file() and p.stat().st_size > 1_000_000], "nothing stays of it"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_zip_is_read_by_ranges(tmp_path: Path, method: int) -> None:
    place = tmp_path / "a.ZIP"
    with zipfile.ZipFile(place, "w", method) as archive:
        archive.mkdir("d")
        for n, picture in enumerate(PICTURES):
            archive.writestr(f"d/{n}.jpg", picture)
        archive.writestr("d/é.txt", "text")
        archive.writestr("__MACOSX/d/._0.jpg", b"resource fork")
        link = zipfile.ZipInfo("link.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "d/1.jpg")
    expected = {f"d/{n}.jpg": p for n, p in enumerate(PICTURES)} | {"d/é.txt": b"text", "link.jpg": PICTURES[1]}
    assert contents(place) == expected
    assert Storage().read_bytes(f"{place}!/d/2.jpg", 10, 30) == PICTURES[2][10:30]
    assert Storage().stat(f"{place}!/d/2.jpg").size == len(PICTURES[2])


def test_hostile_and_odd_members_of_a_zip_say_what_they_are(tmp_path: Path) -> None:
    place = tmp_path / "a.zip"
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.png", bytes(5_000_000))
        archive.writestr("secret.jpg", b"x" * 90)
        archive.writestr("damaged.jpg", b"y" * 5000, zipfile.ZIP_STORED)
        archive.writestr("lzma.jpg", b"z" * 90, zipfile.ZIP_LZMA)
        archive.writestr("../../out.txt", b"out")
        archive.writestr("good.txt", b"good")
        link = zipfile.ZipInfo("link.jpg")
        link.create_system, link.external_attr = 3, 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        infos = {i.filename: i for i in archive.infolist()}
        infos["bomb.png"].file_size = 1000  # the directory lies about the size
        infos["secret.jpg"].flag_bits |= 1
    data = bytearray(place.read_bytes())
    data[infos["damaged.jpg"].header_offset + 100] ^= 1
    place.write_bytes(data)
    reasons = {n: str(error_of(f"{place}!/{n}")) for n in infos if n not in ("good.txt", "../../out.txt")}
    assert "damaged" in reasons["bomb.png"] and "damaged" in reasons["damaged.jpg"]
    assert "encrypted" in reasons["secret.jpg"] and "lzma" in reasons["lzma.jpg"] and "link" in reasons["link.jpg"]
    done = Storage().sync(f"{place}!/", str(tmp_path / "deep" / "out"))
    assert not (tmp_path / "out.txt").exists() and (tmp_path / "deep" / "out" / "good.txt").read_bytes() == b"good"
    assert any(failed.reason.startswith("refused_name") for failed in done.failed)


@settings(deadline=None, max_examples=draws(60))
@given(
    st.binary(max_size=40),
    st.integers(0, 2000),
    st.sampled_from(["tar", "zip", "tar.gz", "tar.bz2", "tar.xz", "tar.zst", "parquet"]),
)
def test_damaged_archive_never_raises_anything_else(tmp_path_factory, noise: bytes, at: int, kind: str) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("noise")
    place = folder / f"a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.jpg", b"a" * 300)
            archive.writestr("b.jpg", b"b" * 300)
    elif kind == "parquet":
        pq.write_table(pa.table({"image": [b"\xff\xd8\xff1", b"\xff\xd8\xff2"], "n": [1, 2]}), place)
    else:
        data = tar_of(("a.jpg", b"a" * 300), ("b.jpg", "a.jpg"))
        place.write_bytes(COMPRESS.get(kind[-2:], bytes)(data))
    data = place.read_bytes()
    place.write_bytes(data[:at] + noise + data[at + len(noise) // 2 :])
    storage = Storage()
    try:
        for info in storage.ls(f"{place}!/"):
            storage.read_bytes(info.uri)
    except StorageError as error:
        assert str(place) in str(error)


IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SHAPES: dict[str, pa.Array] = {
    "image": pa.array([{"bytes": p, "path": None} for p in PICTURES], IMAGE),
    "images": pa.array([PICTURES[:1], PICTURES[1:]], pa.list_(pa.binary())),
    "views": pa.array([[{"bytes": p, "path": "x"} for p in PICTURES]], pa.large_list(IMAGE)),
    "pair": pa.array([PICTURES[:2], PICTURES[2:]], pa.list_(pa.binary(), 2)),
    "sample": pa.array([{"id": 1, "picture": {"bytes": p, "path": None}} for p in PICTURES]),
    "inner": pa.array([{"views": [{"bytes": p, "path": None}]} for p in PICTURES]),
    "img_bytes": pa.array(PICTURES, pa.large_binary()),
    "content": pa.array(PICTURES, pa.binary()),
    "shown.png": pa.array(PICTURES, pa.binary_view()),
    "data": pa.array(PICTURES).dictionary_encode(),
    "blob": pa.array(PICTURES),
    "base64": pa.array([base64.b64encode(p).decode() for p in PICTURES]),
    "urlsafe": pa.array([base64.urlsafe_b64encode(p).decode().rstrip("=") for p in PICTURES], pa.large_string()),
    "data_uri": pa.array([f"data:image/jpeg;base64,{base64.b64encode(p).decode()}" for p in PICTURES]),
}


@pytest.mark.parametrize("column", SHAPES)
def test_pictures_are_found_in_every_shape_of_column(tmp_path: Path, column: str) -> None:
    place = tmp_path / "t.parquet"
    cells = SHAPES[column]
    table = pa.table(
        {column: cells, "text": ["a caption"] * len(cells), "url": ["http://one.example/x.jpg"] * len(cells)}
    )
    pq.write_table(table, place, row_group_size=3)
    assert list(contents(place).values()) == PICTURES


def test_columns_that_hold_no_pictures_are_none(tmp_path: Path) -> None:
    place = tmp_path / "t.parquet"
    said = {"info": {"features": {"audio": {"_type": "Audio"}}}}
    table = pa.table(
        {"image": ["cat.jpg", "dog.jpg"], "weights": [b"12", b"34"], "audio": pa.array([{"bytes": b"R"}] * 2)}
    )
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(said)}), place)
    assert contents(place) == {}


def test_empty_lists_and_cells_are_rows_too(tmp_path: Path) -> None:
    place = tmp_path / "t.parquet"
    pq.write_table(pa.table({"images": pa.array([[], None, [PICTURES[0], None]], pa.list_(pa.binary()))}), place)
    names = [i.uri.partition("!/")[2] for i in Storage().ls(f"{place}!/")]
    assert names == ["row/0000000/images.0", "row/0000001/images.0", "row/0000002/images.0", "row/0000002/images.1"]
    assert [error_of(f"{place}!/{names[n]}").kind for n in (0, 1, 3)] == ["not_found"] * 3
    assert Storage().read_bytes(f"{place}!/{names[2]}") == PICTURES[0]
