"""Objects on S3 and on their way between schemes: the same semantics as local files, whatever happens on the way."""

import hashlib
import io
import os
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.storage import Storage, StorageError
from resources.storage.s3.backend import S3Backend
from resources.storage.s3.pages import parse_page
from resources.storage.s3.settings import S3Settings
from tests.conftest import REPOSITORY
from tests.resources.at_swift import at_swift, root  # noqa: F401
from tests.servers.faults import FaultProxy, Faults
from tests.servers.fixtures import bucket, swift, web  # noqa: F401
from tests.servers.http import Reply, WebServer
from tests.servers.swift import Swift
from tests.tiers import draws

KEYS = (
    "a.JPG",
    "data/x.jpg",
    "data/sub/y.JPEG",
    "data2/z.jpg",
    "data/ü b+c%20?#&.txt",
    "data/a<b>.txt",
    "lone",
    "data-1/q",
)


@pytest.fixture
def tree(root: str) -> str:
    """A bucket with ``KEYS``, each object its own key."""
    for key in KEYS:
        Storage().write(f"{root}/{key}", key.encode())
    return root


def test_prefix_is_a_folder_and_listing_is_recursive(tree: str) -> None:
    storage = Storage()
    assert sorted(o.uri for o in storage.ls(f"{tree}/data")) == sorted(
        f"{tree}/{k}" for k in KEYS if k.startswith("data/")
    )
    assert sorted(o.uri for o in storage.ls(tree)) == sorted(f"{tree}/{k}" for k in KEYS)
    assert [o.uri for o in storage.ls(f"{tree}/lone")] == [f"{tree}/lone"]
    assert {o.uri for o in storage.ls(f"{tree}/", {".jpg"})} == {
        f"{tree}/{k}" for k in ("a.JPG", "data/x.jpg", "data2/z.jpg")
    }


def test_several_roots_of_any_schemes_are_listed_at_once_and_nothing_twice(tree: str, tmp_path: Path) -> None:
    (tmp_path / "x.jpg").write_bytes(b"x")
    roots = [f"{tree}/data/sub", f"{tree}/data/", str(tmp_path), f"{tree}/data2", f"{tree}/data"]
    found = [o.uri for o in Storage().ls(roots)]
    wanted = [f"{tree}/{k}" for k in KEYS if k.startswith(("data/", "data2/"))]
    assert sorted(found) == sorted([*wanted, str(tmp_path / "x.jpg")])


def test_same_tree_lists_the_same_on_s3_and_on_disk(tree: str, tmp_path: Path) -> None:
    storage = Storage()
    storage.sync(tree, str(tmp_path / "copy"))
    here = {(o.uri.removeprefix(f"{tmp_path}/copy/"), o.size) for o in storage.ls(str(tmp_path / "copy"))}
    assert here == {(o.uri.removeprefix(f"{tree}/"), o.size) for o in storage.ls(tree)}
    assert sorted(storage.names(str(tmp_path / "copy"))) == sorted(storage.names(tree))


def test_listing_tells_what_a_look_at_the_object_tells(tree: str) -> None:
    storage = Storage()
    for found in storage.ls(tree):
        assert storage.stat(found.uri) == found
        assert found.etag == hashlib.md5(found.uri.removeprefix(f"{tree}/").encode()).hexdigest()


def test_exists_tells_objects_folders_and_neither(tree: str) -> None:
    storage = Storage()
    there = [storage.exists(f"{tree}{p}") for p in ("/lone", "/data", "/data/", "", "/data/sub")]
    assert there == [True] * 5
    assert not any(
        storage.exists(u) for u in (f"{tree}/dat", f"{tree}/data/x", f"{tree}/none", "s3://no-such-bucket-x/a")
    )


def test_a_listing_of_several_pages_is_whole(swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"p/{i:03}" for i in range(25)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda k: swift.client().put_object(Bucket=bucket, Key=k, Body=b""), keys))
    monkeypatch.setattr("resources.storage.s3.backend.PAGE", 7)
    storage = Storage()
    assert [o.uri for o in storage.ls(f"s3://{bucket}/p")] == [f"s3://{bucket}/{k}" for k in keys]
    assert storage.names(f"s3://{bucket}/p") == [k[2:] for k in keys]
    after = storage.using(S3Backend).ls_after(f"s3://{bucket}/p", f"s3://{bucket}/p/019")
    assert [u for page in after for u in page.uri] == [f"s3://{bucket}/{k}" for k in keys[20:]]


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1).filter(lambda k: not k.endswith("/"))))
def test_any_key_survives_the_listing(keys: list[str]) -> None:
    from urllib.parse import quote

    contents = "".join(
        f"<Contents><Key>{quote(k)}</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified>"
        f'<ETag>"e"</ETag><Size>3</Size></Contents>'
        for k in keys
    )
    body = f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3">{contents}</ListBucketResult>'
    page = parse_page(body.encode(), "s3://b/")
    assert page.objects.uri == [f"s3://b/{k}" for k in keys]
    assert page.objects.size == [3] * len(keys) and page.objects.etag == ["e"] * len(keys)
    assert set(page.objects.mtime) <= {1767323045.0} and page.token is None


@given(data=st.data())
@settings(max_examples=draws(20), deadline=None, suppress_health_check=list(__import__("hypothesis").HealthCheck))
def test_ranges_are_those_of_a_local_file(tree: str, tmp_path: Path, data: st.DataObject) -> None:
    storage, whole = Storage(), bytes(range(256)) * 4
    path = tmp_path / "local"
    for uri in (str(path), f"{tree}/bytes"):
        if not storage.exists(uri):
            storage.write(uri, whole)
    start = data.draw(st.integers(0, 1100))
    end = data.draw(st.none() | st.integers(0, 1100))
    assert (
        storage.read_bytes(f"{tree}/bytes", start, end) == storage.read_bytes(str(path), start, end) == whole[start:end]
    )


def test_reader_seeks_and_reads_like_a_file(root: str) -> None:
    whole = os.urandom(700_000)
    storage = Storage()
    storage.write(f"{root}/big", whole)
    with storage.open(f"{root}/big") as reader:
        local = io.BytesIO(whole)
        for offset, whence, count in ((0, 0, 10), (500_000, 0, 200_000), (-100, 2, 1000), (-650_000, 2, 7), (9, 1, -1)):
            assert reader.seek(offset, whence) == local.seek(offset, whence)
            assert reader.read(count) == local.read(count)
    storage.write(f"{root}/empty", b"")
    assert storage.open(f"{root}/empty").read() == b""


def test_reader_never_mixes_two_versions(root: str) -> None:
    storage = Storage()
    storage.write(f"{root}/big", b"a" * 700_000)
    reader = storage.open(f"{root}/big")
    storage.write(f"{root}/big", b"b" * 700_000)
    with pytest.raises(StorageError) as error:
        reader.read()
    assert error.value.kind == "changed"


def test_large_object_travels_in_parts(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.storage.s3.parts.PART_BYTES", 5 * 1024 * 1024)
    monkeypatch.setattr("resources.storage.s3.backend.SMALL_BYTES", 1024 * 1024)
    whole = os.urandom(12_000_001)
    (tmp_path / "up").write_bytes(whole)
    storage = Storage()
    storage.upload(tmp_path / "up", f"{root}/up")
    assert str(storage.stat(f"{root}/up").etag).endswith("-3")
    assert storage.download(f"{root}/up", tmp_path / "down").read_bytes() == whole
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] in (["up", "down"], ["down", "up"])


def test_create_only_lets_one_of_many_writers_win(root: str) -> None:
    def write(i: int) -> bool:
        try:
            Storage().write(f"{root}/once", f"writer {i}".encode(), create_only=True)
        except StorageError as error:
            assert "already exists" in str(error)
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(write, range(6)))
    assert won.count(True) == 1
    assert Storage().read_bytes(f"{root}/once") == f"writer {won.index(True)}".encode()


def test_presigned_address_works_without_credentials(tree: str) -> None:
    url = Storage().presign(f"{tree}/lone", 60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"lone"
    with pytest.raises(StorageError, match="only objects of s3://"):
        Storage().presign("/tmp/x")


def test_errors_name_the_cause_and_no_secret(tree: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resources.storage.s3.requests.LONGEST_WAIT_SECONDS", 0.05)

    def told(uri: str, settings: S3Settings | None = None) -> StorageError:
        storage = Storage(s3=settings or S3Settings())
        errors = []
        for act in (lambda: storage.read_bytes(uri), lambda: list(storage.ls(uri)), lambda: storage.write(uri, b"")):
            with pytest.raises(StorageError) as error:
                act()
            errors.append(error.value)
        assert len({e.kind for e in errors}) == 1
        for e in errors:
            assert "secret-value" not in repr(e) and "Signature=" not in str(e)
        return errors[0]

    assert (told("s3://no-such-bucket-x/a").kind, "NoSuchBucket" in str(told("s3://no-such-bucket-x/a"))) == (
        "not_found",
        True,
    )
    nowhere = told(f"{tree}/lone", S3Settings(endpoint="http://user:secret-value@127.0.0.1:9"))
    assert "127.0.0.1:9" in str(nowhere) and "AWS_ENDPOINT_URL_S3" in str(nowhere)
    assert told(f"{tree}/lone", S3Settings(endpoint="http://nowhere.invalid:9")).kind == "dns"
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-value")
    assert "SignatureDoesNotMatch" in str(told(f"{tree}/lone"))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    assert told(f"{tree}/lone").kind == "denied"
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    assert "AROT_S3_ANONYMOUS" in str(told(f"{tree}/lone"))


def test_public_bucket_is_asked_without_a_signature(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    web.serve("/public/a.txt", Reply(body=b"hello"))
    assert Storage(s3=S3Settings(anonymous=True, endpoint=web.endpoint)).read_bytes("s3://public/a.txt") == b"hello"
    monkeypatch.setenv("AROT_S3_ANONYMOUS", "1")
    assert Storage(s3=S3Settings(endpoint=web.endpoint)).read_bytes("s3://public/a.txt") == b"hello"
    assert len(web.requests) == 2
    assert not any("uthorization" in r.headers or "X-Amz" in str(r.headers) for r in web.requests)


def test_objects_of_one_name_never_meet_in_the_cache(root: str) -> None:
    storage = Storage()
    uris = [f"{root}/{folder}/1.json" for folder in ("x", "y", "z")]
    for uri in uris:
        storage.write(uri, uri.encode())
    with ThreadPoolExecutor(12) as pool:
        paths = list(pool.map(storage.download, uris * 8))
    assert [p.read_bytes() for p in paths] == [u.encode() for u in uris * 8]
    assert len(set(paths)) == 3 and all(p.suffix == ".json" for p in paths)


def test_cache_notices_a_change_and_moves_no_byte_without(root: str, swift: Swift) -> None:
    with FaultProxy(swift.endpoint, Faults()) as proxy:
        storage = Storage(s3=S3Settings(endpoint=proxy.endpoint))
        storage.write(f"{root}/a.txt", b"one")
        first = storage.download(f"{root}/a.txt")
        before = proxy.requests
        assert storage.download(f"{root}/a.txt") == first
        assert proxy.requests == before + 1
        storage.write(f"{root}/a.txt", b"two")
        assert storage.download(f"{root}/a.txt").read_bytes() == b"two"
        assert first.read_bytes() == b"one"


def test_cache_stays_within_its_size(root: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AROT_CACHE_GB", "0.00003")
    monkeypatch.setattr("resources.storage.cache.KEPT_SECONDS", -1.0)
    storage = Storage()
    for i in range(6):
        storage.write(f"{root}/{i}", os.urandom(10_000))
        assert len(storage.download(f"{root}/{i}").read_bytes()) == 10_000
    held = [p for p in (tmp_path / "cache").glob("??/*") if not p.name.startswith(".")]
    assert sum(p.stat().st_size for p in held) <= 30_000 and len(held) == 3
    monkeypatch.setenv("AROT_CACHE_GB", "much")
    with pytest.raises(StorageError, match="AROT_CACHE_GB"):
        storage.download(f"{root}/0")


def test_two_processes_share_the_cache(root: str, tmp_path: Path) -> None:
    data = os.urandom(200_000)
    Storage().write(f"{root}/a.bin", data)
    code = f"from resources.storage import Storage; print(Storage().download('{root}/a.bin'))"
    started = [
        subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    paths = {p.communicate()[0].strip() for p in started}
    assert len(paths) == 1 and Path(paths.pop()).read_bytes() == data


def test_write_whose_answer_is_lost_is_no_conflict_with_itself(root: str, swift: Swift) -> None:
    with FaultProxy(swift.endpoint, Faults(lost=1.0, at_most=2)) as proxy:
        storage = Storage(s3=S3Settings(endpoint=proxy.endpoint))
        storage.write(f"{root}/once", b"mine", create_only=True)
    with pytest.raises(StorageError, match="already exists"):
        Storage().write(f"{root}/once", b"mine", create_only=True)
