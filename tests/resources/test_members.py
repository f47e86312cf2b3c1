"""What lies in a tar or in a Parquet file has an address, on every scheme, and can't leave its archive."""

import gc
import io
import json
import tarfile
import warnings
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources import notebook as nb
from resources.storage import Storage, StorageError
from resources.storage.member_address import cell_uri, member_uri, parse_cell, parse_member
from resources.storage.members.backend import OPEN_ARCHIVES, MembersBackend
from tests.conftest import EXAMPLES
from tests.servers.hub import Hub

PICTURES = sorted((EXAMPLES / "photo").rglob("*.jpg"))[:6]


def write_tar(path: Path, files: dict[str, bytes]) -> None:
    """A tar with these files, and a folder and a link that are no files."""
    with tarfile.open(path, "w") as archive:
        archive.addfile(_head("folder", 0, tarfile.DIRTYPE))
        link = _head("link", 0, tarfile.SYMTYPE)
        link.linkname = "/etc/passwd"
        archive.addfile(link)
        for name, data in files.items():
            archive.addfile(_head(name, len(data)), io.BytesIO(data))


def _head(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    head = tarfile.TarInfo(name)
    head.size, head.type = size, kind
    return head


def write_parquet(path: Path, pictures: list[bytes | None], image_feature: bool = True) -> None:
    """As the Hub has them: a column of images and one of captions, two rows a group."""
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = [None if p is None else {"bytes": p, "path": f"{n}.jpg"} for n, p in enumerate(pictures)]
    table = pa.table(
        {
            "image": pa.array(cells, kind),
            "caption": [f"image {n}" for n in range(len(cells))],
            "other": [b"x"] * len(cells),
        }
    )
    if image_feature:
        said = {"info": {"features": {"image": {"_type": "Image"}, "caption": {"_type": "Value", "dtype": "string"}}}}
        table = table.replace_schema_metadata({"huggingface": json.dumps(said)})
    pq.write_table(table, path, row_group_size=2)


@pytest.fixture
def tar(tmp_path: Path) -> Path:
    """A tar of three images, in a folder with an odd name."""
    place = tmp_path / "a b" / "0001.tar"
    place.parent.mkdir()
    write_tar(place, {f"cat/{p.stem}.jpg": p.read_bytes() for p in PICTURES[:3]} | {"cat/x.txt": b"a cat"})
    return place


def test_addresses_of_members() -> None:
    assert parse_member("s3://b/x.TAR!/a/b.jpg") == ("s3://b/x.TAR", "tar", "a/b.jpg")
    assert parse_member("x.parquet!") == ("x.parquet", "parquet", "")
    assert parse_member("/wow!/a.jpg") is None and parse_member("a.jpg") is None
    assert parse_cell(cell_uri("", 7, "my/pic ture")[2:]) == (7, "my/pic ture")
    assert [parse_cell(n) for n in ("row/-1/x", "row/1", "rows/1/x", "row/1/x/y")] == [None] * 4


def test_archives_close_with_their_last_use(tmp_path: Path, tar: Path) -> None:
    whole = tmp_path / "whole.parquet"
    write_parquet(whole, [p.read_bytes() for p in PICTURES[:3]])
    packed = tmp_path / "packed.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(PICTURES[0], "a.jpg")
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for place in (tar, whole, packed):
            storage = Storage()
            members = storage.ls(f"{place}!/")
            first = next(members)
            assert storage.read_bytes(first.uri) == PICTURES[0].read_bytes()
            del members, storage
        gc.collect()
    assert [w for w in found if str(tmp_path) in str(w.message)] == []


def test_archives_still_read_from_are_not_closed(tmp_path: Path) -> None:
    places = [tmp_path / f"{n}.tar" for n in range(OPEN_ARCHIVES + 1)]
    for place in places:
        write_tar(place, {"a.jpg": PICTURES[0].read_bytes()})
    backend = Storage().using(MembersBackend)
    reader = backend.opened(str(places[0])).content
    for place in places[1:]:
        backend.opened(str(place))
    gc.collect()
    assert reader.read("a.jpg") == PICTURES[0].read_bytes()


def test_folder_whose_name_looks_like_an_archive_is_a_folder(tmp_path: Path) -> None:
    odd = tmp_path / "x.tar!" / "a.txt"
    odd.parent.mkdir()
    odd.write_text("plain")
    assert Storage().read_bytes(str(odd)) == b"plain"
    assert [i.uri for i in Storage().ls(str(odd.parent))] == [str(odd)]


def test_tar_is_listed_read_and_copied_out(tar: Path, tmp_path: Path) -> None:
    storage = Storage()
    found = {i.uri: i for i in storage.ls(f"{tar}!/")}
    assert set(found) == {f"{tar}!/cat/{p.stem}.jpg" for p in PICTURES[:3]} | {f"{tar}!/cat/x.txt"}
    for picture in PICTURES[:3]:
        uri = f"{tar}!/cat/{picture.stem}.jpg"
        assert found[uri].size == picture.stat().st_size and storage.stat(uri) == found[uri]
        assert storage.read_bytes(uri) == picture.read_bytes()
        assert storage.read_bytes(uri, 5, 90) == picture.read_bytes()[5:90]
    assert [i.uri for i in storage.ls(f"{tar}!/", {".txt"})] == [f"{tar}!/cat/x.txt"]
    assert storage.names(f"{tar}!/") == ["cat"] and storage.exists(f"{tar}!/cat")
    assert nb.loads(f"{tar}!/cat/{PICTURES[0].stem}.jpg", as_="numpy").ndim == 3
    assert nb.ls(f"{tar}!", relative=True) == sorted(u.removeprefix(f"{tar}!/") for u in found)
    done = storage.sync(f"{tar}!/", str(tmp_path / "out"))
    assert (done.copied, done.failed) == (4, [])
    assert (tmp_path / "out" / "cat" / "x.txt").read_text() == "a cat"


def test_member_that_is_not_there_and_what_cannot_be_done(tar: Path) -> None:
    storage = Storage()
    for name in ("cat/none.jpg", "link", "folder", "../0001.tar", "/etc/passwd", "row/0000000/image"):
        with pytest.raises(StorageError) as caught:
            storage.read_bytes(f"{tar}!/{name}")
        assert caught.value.kind == "not_found"
    assert not storage.exists(f"{tar}!/nothing") and not storage.exists(f"{tar.parent}/no.tar!/x")
    for call in (lambda u: storage.write(u, b""), storage.delete):
        with pytest.raises(StorageError, match="read-only"):
            call(f"{tar}!/cat/x.txt")


@pytest.mark.parametrize("name", ["../../out.txt", "/etc/evil.txt", "a/../../b.txt", "c\nd.txt"])
def test_hostile_member_stays_in_its_archive(tmp_path: Path, name: str) -> None:
    write_tar(tmp_path / "evil.tar", {name: b"evil", "good.txt": b"good"})
    storage = Storage()
    assert storage.read_bytes(f"{tmp_path}/evil.tar!/{name}") == b"evil"
    done = storage.sync(f"{tmp_path}/evil.tar!/", str(tmp_path / "deep" / "out"))
    assert done.copied == 1 and done.failed[0].reason.startswith("refused_name")
    assert [p.name for p in tmp_path.rglob("*.txt")] == ["good.txt"]


@pytest.mark.parametrize("cut", [100, 700, 5000])
def test_truncated_tar_is_an_error_that_says_so(tar: Path, cut: int) -> None:
    tar.write_bytes(tar.read_bytes()[:-10240][: -cut or None])
    if cut < 5000:
        tar.write_bytes(tar.read_bytes()[:-5000])
    with pytest.raises(StorageError, match=r"cannot open .*0001\.tar") as caught:
        list(Storage().ls(f"{tar}!/"))
    assert caught.value.kind == "format"


@pytest.mark.parametrize("name", ["noise.tar", "noise.parquet"])
def test_what_is_no_archive_is_an_error_that_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(bytes(range(256)) * 50)
    with pytest.raises(StorageError, match=f"cannot open '.*{name}'"):
        list(Storage().ls(f"{tmp_path / name}!/"))


def test_pictures_of_a_parquet_file_row_by_row(tmp_path: Path) -> None:
    place = tmp_path / "train.parquet"
    write_parquet(place, [p.read_bytes() for p in PICTURES[:5]] + [None])
    storage = Storage()
    listed = [i.uri for i in storage.ls(f"{place}!/")]
    assert listed == [f"{place}!/row/{n:07}/image" for n in range(6)]
    for n, picture in enumerate(PICTURES[:5]):
        assert storage.read_bytes(listed[n]) == picture.read_bytes()
    assert storage.stat(listed[0]).size == PICTURES[0].stat().st_size
    with pytest.raises(StorageError, match="cell is empty"):
        storage.read_bytes(listed[5])
    assert (
        storage.exists(f"{place}!/row/3/image")
        and storage.read_bytes(f"{place}!/row/3/image") == PICTURES[3].read_bytes()
    )
    for name in ("row/6/image", "row/0/caption", "row/0/other", "image"):
        with pytest.raises(StorageError, match="there is no"):
            storage.read_bytes(f"{place}!/{name}")


def test_columns_of_plain_bytes_are_found_by_mark_or_by_name(tmp_path: Path) -> None:
    place = tmp_path / "t.parquet"
    pq.write_table(pa.table({"jpg": [b"1"], "weights": [b"2"], "n": [1]}), place)
    assert [i.uri for i in Storage().ls(f"{place}!/")] == [f"{place}!/row/0000000/jpg"]


def test_changed_archive_is_read_anew(tar: Path) -> None:
    storage = Storage()
    assert storage.read_bytes(f"{tar}!/cat/x.txt") == b"a cat"
    write_tar(tar, {"cat/x.txt": b"a dog, and another size"})
    assert storage.read_bytes(f"{tar}!/cat/x.txt") == b"a dog, and another size"


def test_members_on_the_hub_and_few_requests(
    hub: Hub, tar: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))
    write_parquet(tmp_path / "t.parquet", [p.read_bytes() for p in PICTURES])
    repository = hub.create("owner/pictures")
    hub.commit(repository, {"a.tar": tar.read_bytes(), "data/t.parquet": (tmp_path / "t.parquet").read_bytes()})
    root = f"hf://datasets/owner/pictures@{repository.branches['main']}"
    with hub.as_default(tmp_path / "home"):
        storage = Storage()
        hub.requests.clear()
        for picture in PICTURES[:3]:
            assert storage.read_bytes(member_uri(f"{root}/a.tar", f"cat/{picture.stem}.jpg")) == picture.read_bytes()
        assert sum(n for r, n in hub.requests.items() if r.startswith("GET /cdn/")) == 1, "the tar came once"
        for n, picture in enumerate(PICTURES):
            assert storage.read_bytes(cell_uri(f"{root}/data/t.parquet", n, "image")) == picture.read_bytes()
        assert storage.ls(f"{root}/a.tar!/") and len(list(storage.ls(f"{root}/data/t.parquet!/"))) == 6
