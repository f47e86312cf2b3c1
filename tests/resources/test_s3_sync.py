"""Folders and buckets become equal, whatever is in the way: faults, hostile keys, a kill."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from resources.storage import ObjectInfo, Storage, StorageError
from resources.storage.s3.settings import S3Settings
from resources.storage.targets import target_of
from tests.conftest import REPOSITORY
from tests.resources.at_swift import at_swift, root  # noqa: F401
from tests.servers.faults import FaultProxy, Faults
from tests.servers.fixtures import bucket, swift, web  # noqa: F401
from tests.servers.swift import Swift


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


FAULTS = Faults(refuse=0.04, error=0.06, lost=0.04, reset=0.05, half=0.05)


@pytest.fixture
def broken(swift: Swift) -> Iterator[FaultProxy]:
    """A way to the server on which one request in four goes wrong."""
    with FaultProxy(swift.endpoint, FAULTS, seed=3) as proxy:
        yield proxy


def test_five_hundred_objects_arrive_through_faults(root: str, broken: FaultProxy, tmp_path: Path) -> None:
    files = make_files(tmp_path / "here", 500, size=20_000)
    storage = Storage(s3=S3Settings(endpoint=broken.endpoint))
    up = storage.sync(str(tmp_path / "here"), f"{root}/x")
    assert (up.copied, up.failed) == (500, [])
    etags = {o.uri.removeprefix(f"{root}/x/"): o.etag for o in storage.ls(f"{root}/x")}
    assert etags == {name: hashlib.md5(data).hexdigest() for name, data in files.items()}
    down = storage.sync(f"{root}/x", str(tmp_path / "back"))
    assert (down.copied, down.failed) == (500, [])
    assert on_disk(tmp_path / "back") == files
    assert sum(broken.injected.values()) > 150


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


def count(storage: Storage, root: str) -> int:
    """Objects below a root, which may not be there yet."""
    try:
        return sum(1 for _ in storage.ls(root))
    except StorageError:
        return 0
