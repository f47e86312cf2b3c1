"""Objects on S3 and on their way between schemes: the same semantics as local files, whatever happens on the way."""

import hashlib
import io
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.storage import ObjectInfo, Storage, StorageError
from resources.storage.s3.backend import S3Backend, parse_page
from resources.storage.s3.settings import S3Settings
from resources.storage.targets import target_of
from tests.conftest import REPOSITORY
from tests.servers.faults import FaultProxy, Faults
from tests.servers.fixtures import bucket, swift, web  # noqa: F401
from tests.servers.http import Reply, WebServer
from tests.servers.swift import Swift

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


@pytest.fixture(autouse=True)
def at_swift(swift: Swift, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every client finds the test server; nothing of this machine's configuration is seen."""
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "no-config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "no-credentials"))
    monkeypatch.setenv("AROT_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(bucket: str) -> str:
    """An empty bucket as a URI."""
    return f"s3://{bucket}"


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
@settings(max_examples=20, deadline=None, suppress_health_check=list(__import__("hypothesis").HealthCheck))
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


def make_files(folder: Path, count: int, size: int = 3000) -> dict[str, bytes]:
    """Files of random bytes in some folders; returns name -> content."""
    files = {f"f{i % 7}/{i:04}.bin": os.urandom(size) for i in range(count)}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return files


def on_disk(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too: name -> content."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_sync_copies_what_differs_and_deletes_what_is_too_much(root: str, tmp_path: Path) -> None:
    storage, here, back = Storage(), tmp_path / "here", tmp_path / "back"
    files = make_files(here, 30)
    assert storage.sync(str(here), f"{root}/x").copied == 30
    assert storage.sync(str(here), f"{root}/x").unchanged == 30
    assert storage.sync(f"{root}/x", str(back)).copied == 30 and on_disk(back) == files
    assert storage.sync(f"{root}/x", f"{root}/y").copied == 30
    assert storage.sync(f"{root}/x", f"{root}/y").unchanged == 30
    storage.write(f"{root}/x/f0/0000.bin", b"other")
    storage.delete(f"{root}/x/f1/0001.bin")
    seen: list[int] = []
    result = storage.sync(f"{root}/x", str(back), delete=True, on_progress=seen.append)
    assert (result.copied, result.unchanged, result.deleted, sum(seen)) == (1, 28, 1, 29)
    del files["f1/0001.bin"]
    assert on_disk(back) == files | {"f0/0000.bin": b"other"}
    moved = storage.sync(f"{root}/x", f"{root}/y", delete=True)
    assert (moved.copied, moved.deleted, moved.failed) == (1, 1, [])


def test_object_replaced_by_one_of_the_same_size_is_copied_again(root: str, tmp_path: Path) -> None:
    storage = Storage()
    storage.write(f"{root}/x/a", b"11111")
    storage.sync(f"{root}/x", str(tmp_path / "back"))
    time.sleep(2.1)  # servers tell times in whole seconds
    storage.write(f"{root}/x/a", b"22222")
    assert storage.sync(f"{root}/x", str(tmp_path / "back")).copied == 1
    assert (tmp_path / "back" / "a").read_bytes() == b"22222"


def test_copy_and_move_between_any_two_schemes(root: str, tmp_path: Path) -> None:
    import fsspec

    storage, data = Storage(), os.urandom(100_000)
    places = [str(tmp_path / "p" / "a.bin"), f"{root}/p/a.bin", "memory://p/a.bin"]
    for source in places:
        storage.write(source, data)
        for target in places:
            if source != target:
                storage.copy(source, f"{target}.copy")
                assert storage.read_bytes(f"{target}.copy") == data
                storage.move(f"{target}.copy", f"{target}.moved")
                assert storage.read_bytes(f"{target}.moved") == data and not storage.exists(f"{target}.copy")
        storage.move(source, source)
        assert storage.read_bytes(source) == data
    fsspec.filesystem("memory").rm("p", recursive=True)


@pytest.mark.parametrize(
    "name",
    ["../up", "a/../../up", "/etc/passwd", "a//b", "./a", "a/./b", "a\nb", "a\x00b", "\x1b[2J", "", "a/", "n" * 300],
)
def test_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StorageError, match="refused"):
        target_of(str(tmp_path), name)


@given(st.text())
def test_no_name_leaves_the_folder(name: str) -> None:
    try:
        place = target_of("/some/folder", name)
    except StorageError:
        return
    assert os.path.normpath(place) == place and place.startswith("/some/folder/")


def test_hostile_keys_and_links_stay_out_and_the_rest_arrives(root: str, swift: Swift, tmp_path: Path) -> None:
    s3, name = swift.client(), root.removeprefix("s3://")
    for key in ("x/good.txt", "x/../../evil.txt", "x//evil.txt", "x/ev\nil.txt", "x/link/evil.txt", "x/good.txt/evil"):
        s3.put_object(Bucket=name, Key=key, Body=key.encode())
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "link").symlink_to(outside)
    result = Storage().sync(f"{root}/x", str(inside), delete=True)
    assert (inside / "good.txt").is_dir() or (inside / "good.txt").read_bytes() == b"x/good.txt"
    assert result.copied == 1 and len(result.failed) == 5 and all(f.reason for f in result.failed)
    assert not list(outside.iterdir()) and not (tmp_path / "evil.txt").exists()


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


FAULTS = Faults(refuse=0.04, error=0.06, lost=0.04, reset=0.05, half=0.05)


@pytest.fixture
def broken(swift: Swift) -> Iterator[FaultProxy]:
    """A way to the server on which one request in four goes wrong."""
    with FaultProxy(swift.endpoint, FAULTS, seed=3) as proxy:
        yield proxy


def test_two_thousand_objects_arrive_through_faults(root: str, broken: FaultProxy, tmp_path: Path) -> None:
    files = make_files(tmp_path / "here", 2000, size=20_000)
    storage = Storage(s3=S3Settings(endpoint=broken.endpoint))
    up = storage.sync(str(tmp_path / "here"), f"{root}/x")
    assert (up.copied, up.failed) == (2000, [])
    etags = {o.uri.removeprefix(f"{root}/x/"): o.etag for o in storage.ls(f"{root}/x")}
    assert etags == {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    down = storage.sync(f"{root}/x", str(tmp_path / "back"))
    assert (down.copied, down.failed) == (2000, [])
    assert on_disk(tmp_path / "back") == files
    assert sum(broken.injected.values()) > 600


def test_what_cannot_be_had_is_a_row_with_its_reason(root: str, swift: Swift, tmp_path: Path) -> None:
    files = make_files(tmp_path / "here", 6)
    storage = Storage()
    storage.sync(str(tmp_path / "here"), f"{root}/x")
    listed = list(storage.ls(f"{root}/x"))

    class Late(Storage):
        """An object leaves between the listing and its turn."""

        def ls(self, folder: str, *rest: object, **more: object) -> Iterator[ObjectInfo]:  # type: ignore[override]
            found = list(super().ls(folder))
            Storage().delete(listed[0].uri)
            return iter(found)

    result = Late().sync(f"{root}/x", str(tmp_path / "back"))
    assert result.copied == 5 and [f.uri for f in result.failed] == [listed[0].uri]
    assert result.failed[0].reason.startswith("not_found: ")
    assert len(on_disk(tmp_path / "back")) == len(files) - 1


def test_write_whose_answer_is_lost_is_no_conflict_with_itself(root: str, swift: Swift) -> None:
    with FaultProxy(swift.endpoint, Faults(lost=1.0, at_most=2)) as proxy:
        storage = Storage(s3=S3Settings(endpoint=proxy.endpoint))
        storage.write(f"{root}/once", b"mine", create_only=True)
    with pytest.raises(StorageError, match="already exists"):
        Storage().write(f"{root}/once", b"mine", create_only=True)


def test_sync_never_copies_a_folder_into_itself_or_empties_a_target_for_nothing(root: str, tmp_path: Path) -> None:
    make_files(tmp_path / "here", 3)
    (tmp_path / "empty").mkdir()
    storage = Storage()
    storage.sync(str(tmp_path / "here"), f"{root}/x")
    with pytest.raises(StorageError, match="inside the source"):
        storage.sync(str(tmp_path / "here"), str(tmp_path / "here" / "sub"))
    with pytest.raises(StorageError, match="the source is inside the target"):
        storage.sync(str(tmp_path / "here" / "f0"), str(tmp_path / "here"), delete=True)
    with pytest.raises(StorageError, match="is empty, so all 3 objects"):
        storage.sync(str(tmp_path / "empty"), f"{root}/x", delete=True)
    assert count(storage, root) == 3 and len(on_disk(tmp_path / "here")) == 3


def test_killed_sync_leaves_no_half_file_and_ends_the_same(root: str, tmp_path: Path) -> None:
    files = make_files(tmp_path / "here", 60, size=60_000)
    storage = Storage()
    for source, target in ((str(tmp_path / "here"), f"{root}/x"), (f"{root}/x", str(tmp_path / "back"))):
        code = f"from resources.storage import Storage; Storage().sync({source!r}, {target!r}, threads=2)"
        for done in (5, 20):
            process = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)
            while process.poll() is None and count(storage, target) < done:
                time.sleep(0.02)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            for name in [o.uri for o in storage.ls(target)]:
                assert storage.read_bytes(name) == files[name.removeprefix(f"{target}/")]
        rest = storage.sync(source, target)
        assert rest.unchanged >= 20 and rest.copied + rest.unchanged == 60 and not rest.failed
    storage.remove_leftovers(str(tmp_path / "back"), -1)
    assert on_disk(tmp_path / "back") == files


def count(storage: Storage, root: str) -> int:
    """Objects below a root, which may not be there yet."""
    try:
        return sum(1 for _ in storage.ls(root))
    except StorageError:
        return 0
