"""Temporary folders: nothing of a process that was killed stays, nothing of a living one goes, and a bad place is told."""

import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from resources import beside, scratch
from resources.beside import TEMPORARY_PREFIX, folder_beside, remove_left, temporary_file, temporary_folder
from resources.processes import Owner
from resources.scratch import ScratchError, WorkingFolder
from resources.storage import Storage, StorageError
from resources.storage.cache import Cache
from resources.storage.objects import ObjectInfo
from tests.conftest import REPOSITORY
from tests.disks import make_read_only
from tests.waiting import until, work_of

WORKER = """
import os, sys, threading
from resources.scratch import WorkingFolder
folder = WorkingFolder("clips").path
(folder / "film.mp4").write_bytes(bytes(1000))
child = os.fork() if "child" in sys.argv else 1
if child:
    print(folder, child, flush=True)
sys.stdin.read()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this user."""
    base = tmp_path / "scratch"
    base.mkdir()
    monkeypatch.setenv(scratch.VARIABLE, str(base))
    return base / f"arot-{os.geteuid()}"


@pytest.fixture
def start(place: Path) -> Iterator[Start]:
    """Starts processes that work in a folder, and tell it."""
    started = []

    def begin(*arguments: str, before: tuple[str, ...] = ()) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*before, sys.executable, "-c", WORKER, *arguments],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def folder_of(process: "subprocess.Popen[str]") -> Path:
    """Where a process works."""
    return Path(told_by(process)[0])


def told_by(process: "subprocess.Popen[str]") -> list[str]:
    """Where a process works, and the number of its child."""
    assert process.stdout is not None
    return process.stdout.readline().split()


def kill(process: "subprocess.Popen[str]") -> None:
    """``kill -9``."""
    process.send_signal(signal.SIGKILL)
    process.wait()


def others(place: Path) -> set[str]:
    """What is in the folder of this user and not of this process."""
    return {name for name in os.listdir(place) if not name.startswith(str(Owner.me()))}


def is_swept(place: Path) -> bool:
    """Whether nothing of other processes is left, now that one more asked for a folder."""
    scratch.prepare()
    return not others(place)


def test_folder_is_closed_to_others_and_goes_with_its_block(place: Path) -> None:
    with WorkingFolder("clips") as folder:
        assert folder.is_relative_to(place) and folder.name.startswith("clips_")
        assert place.stat().st_mode & 0o777 == folder.stat().st_mode & 0o777 == 0o700
        assert Owner.named_in(folder.parent.name) == Owner.me()
    assert not folder.exists()


def test_process_that_ends_leaves_nothing(place: Path, start: Start) -> None:
    process = start()
    folder = folder_of(process)
    assert (folder / "film.mp4").is_file()
    process.communicate()
    assert process.returncode == 0 and os.listdir(place) == []


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(place: Path, start: Start) -> None:
    living, killed = start(), start()
    kept, left = folder_of(living), folder_of(killed)
    kill(killed)
    assert (left / "film.mp4").exists()
    with WorkingFolder("export"):
        assert others(place) == {kept.parent.name, f"{kept.parent.name}.lock"} and (kept / "film.mp4").exists()


def test_number_that_is_used_again_is_not_mistaken(place: Path) -> None:
    scratch.prepare()
    before = replace(Owner.me(), started=Owner.me().started - 1)
    (place / str(before) / "clips_x").mkdir(parents=True)
    assert before.is_gone and Owner.me().is_gone is False
    scratch.prepare()
    assert not others(place)


def test_child_of_a_killed_process_keeps_nothing(place: Path, start: Start) -> None:
    process = start("child")
    _, child = told_by(process)
    kill(process)
    try:
        until("the child has let the lock go", lambda: is_swept(place), work_of(int(child)))
    finally:
        os.kill(int(child), signal.SIGKILL)


def test_forked_process_has_a_folder_of_its_own(place: Path) -> None:
    with WorkingFolder("training") as folder:
        if (pid := os.fork()) == 0:
            with WorkingFolder("training") as own:
                os._exit(0 if own.parent != folder.parent and folder.is_dir() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        scratch.prepare()
        assert folder.is_dir() and not others(place)


def test_process_of_another_container_is_asked_by_its_lock(place: Path, start: Start) -> None:
    apart = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a namespace needs root")
    process = start(before=apart)
    folder = folder_of(process)
    owner = Owner.named_in(folder.parent.name)
    assert owner is not None and owner.is_gone is None and owner.is_of_this_boot
    scratch.prepare()
    assert folder.is_dir(), "it lives"
    kill(process)  # the kernel ends what is in the namespace
    until("the lock is free", lambda: is_swept(place), work_of(process.pid))


def test_what_an_earlier_boot_left_goes_and_what_another_machine_has_stays(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch.prepare()
    elsewhere = replace(Owner.me(), boot="01234567")
    (place / str(elsewhere) / "export_x").mkdir(parents=True)
    (place / str(elsewhere) / "export_x" / "a.tar").write_bytes(bytes(10))
    (place / f"{elsewhere}.lock").write_text("process 7 on node7\n")
    with monkeypatch.context() as shared:
        shared.setattr(scratch, "ONLY_HERE", frozenset())  # as on a disk that several machines have mounted
        scratch.prepare()
        assert [(one.owner, one.files, one.bytes) for one in scratch.left()] == [("process 7 on node7", 1, 10)]
    scratch.prepare()
    assert not others(place), "a disk of this machine alone: it was this machine"


def test_folder_that_is_a_link_is_refused(place: Path, tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    place.symlink_to(theirs)
    with pytest.raises(ScratchError, match=rf"'{place}': it is a link; remove it, or set AROT_SCRATCH"):
        WorkingFolder("clips")
    assert not list(theirs.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="to give a folder away needs root")
def test_folder_of_another_user_is_refused(place: Path) -> None:
    place.mkdir(mode=0o777)
    os.chown(place, 12345, 12345)
    with pytest.raises(ScratchError, match="it belongs to another user \\(12345\\)"):
        WorkingFolder("clips")


def test_folder_that_others_may_write_to_is_refused(place: Path) -> None:
    place.mkdir()
    place.chmod(0o777)
    with pytest.raises(ScratchError, match="others may write to it"):
        WorkingFolder("clips")


def test_link_among_what_was_left_is_removed_and_not_followed(place: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    scratch.prepare()
    gone = replace(Owner.me(), started=Owner.me().started - 1)
    (place / str(gone)).mkdir()
    (place / str(gone) / "export_x").symlink_to(precious)
    scratch.prepare()
    assert not others(place) and (precious / "file").exists()


def test_missing_place_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(scratch.VARIABLE, str(tmp_path / "not-mounted"))
    with pytest.raises(
        ScratchError, match=r"'.*not-mounted': No such file or directory; set AROT_SCRATCH to a folder that is there"
    ) as told:
        WorkingFolder("clips")
    assert str(pickle.loads(pickle.dumps(told.value))) == str(told.value), "a worker of a cluster can tell it"


def test_too_little_room_is_told_before_anything_is_written(place: Path) -> None:
    with pytest.raises(
        ScratchError, match=r"bytes are free, and verify needs 1,000,000,000,000,000,000;.*AROT_SCRATCH"
    ):
        WorkingFolder("verify", 10**18)


@pytest.fixture
def small(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place on a small disk."""
    monkeypatch.setenv(scratch.VARIABLE, str(small_disk))
    return small_disk


def test_full_disk_is_told_by_its_folder_and_nothing_stays(small: Path) -> None:
    said = rf"'{small}.*': No space left on device; free some space there, or set AROT_SCRATCH"
    with pytest.raises(ScratchError, match=said), WorkingFolder("clips") as folder:
        (folder / "film.mp4").write_bytes(bytes(4_000_000))
    assert not [path for path in small.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


def test_vectors_that_do_not_fit_are_an_error_and_do_not_kill_the_process(small: Path) -> None:
    with pytest.raises(ScratchError, match="No space left on device"), WorkingFolder("training") as folder:
        file = folder / "vectors.npy"
        np.lib.format.open_memmap(file, "w+", np.float32, (1000, 1000))
        scratch.reserve(file, file.stat().st_size)


def test_error_of_another_disk_is_left_as_it_is(small: Path, place: Path) -> None:
    with pytest.raises(OSError, match="No space left on device"), WorkingFolder("clips"):
        (small / "film.mp4").write_bytes(bytes(4_000_000))


def test_storage_that_writes_into_a_full_place_names_the_variable(small: Path) -> None:
    with WorkingFolder("verify") as folder, pytest.raises(StorageError, match="AROT_SCRATCH"):
        Storage().write(str(folder / "a.tar"), bytes(4_000_000))


def test_read_only_disk_is_told(small: Path) -> None:
    make_read_only(small)
    with pytest.raises(ScratchError, match=rf"'{small}': Read-only file system; set AROT_SCRATCH"):
        WorkingFolder("clips")


def test_files_beside_their_target_go_with_their_process(tmp_path: Path) -> None:
    mine, gone = temporary_file(tmp_path), replace(Owner.me(), started=Owner.me().started - 1)
    far = tmp_path / f"{TEMPORARY_PREFIX}{replace(Owner.me(), boot='01234567')}-x"
    left = tmp_path / f"{TEMPORARY_PREFIX}{gone}-x"
    far.touch()
    left.mkdir()
    (left / "a.tar").touch()
    os.utime(mine, (0, 0))
    lock = tmp_path / beside.LOCK_NAME
    lock.touch()
    os.utime(lock, (0, 0))
    assert remove_left(tmp_path.iterdir()) == 1 and sorted(tmp_path.iterdir()) == sorted([mine, far, lock])
    os.utime(far, (0, 0))
    assert remove_left(tmp_path.iterdir()) == 1 and sorted(tmp_path.iterdir()) == sorted([mine, lock])


def test_folder_of_another_machine_is_kept_as_long_as_anything_in_it_changes(tmp_path: Path) -> None:
    far = tmp_path / f"{TEMPORARY_PREFIX}{replace(Owner.me(), boot='01234567')}-x"
    far.mkdir()
    (far / "a.tar").touch()
    os.utime(far, (0, 0))
    assert remove_left(tmp_path.iterdir()) == 0
    os.utime(far / "a.tar", (0, 0))
    assert remove_left(tmp_path.iterdir()) == 1


def test_command_finds_folders_that_a_killed_export_left_in_the_store(tmp_path: Path) -> None:
    (tmp_path / "exports").mkdir()
    staged = temporary_folder(tmp_path / "exports")
    (staged / "images").mkdir()
    for path in (staged / "images", staged):
        os.utime(path, (0, 0))
    assert Storage().remove_leftovers(str(tmp_path), 0.0) == 0, "this process lives"
    gone = replace(Owner.me(), started=Owner.me().started - 1)
    shutil.move(staged, staged.with_name(f"{TEMPORARY_PREFIX}{gone}-x"))
    assert Storage().remove_leftovers(str(tmp_path), 0.0) == 1 and not list((tmp_path / "exports").iterdir())


def test_model_cache_loses_what_a_killed_fetch_left(tmp_path: Path) -> None:
    gone = replace(Owner.me(), started=Owner.me().started - 1)
    (tmp_path / f"{TEMPORARY_PREFIX}{gone}-x").mkdir()
    with folder_beside(tmp_path) as folder:
        assert list(tmp_path.iterdir()) == [folder]
    assert not list(tmp_path.iterdir())


def test_sync_removes_what_a_killed_one_left_in_the_target(tmp_path: Path) -> None:
    gone = replace(Owner.me(), started=Owner.me().started - 1)
    for name in ("from/a.jpg", f"to/b/{TEMPORARY_PREFIX}{gone}-x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"1")
    Storage().sync(str(tmp_path / "from"), str(tmp_path / "to"))
    assert sorted(path.name for path in (tmp_path / "to").rglob("*") if path.is_file()) == ["a.jpg"]


def test_cache_of_objects_loses_what_a_killed_download_left(tmp_path: Path) -> None:
    gone = replace(Owner.me(), started=Owner.me().started - 1)
    left = tmp_path / "ab" / f"{TEMPORARY_PREFIX}{gone}-x"
    left.parent.mkdir()
    left.write_bytes(bytes(1000))
    Cache(tmp_path, 10**9).put(ObjectInfo("s3://b/a.jpg", 3, 0.0, "tag"), b"abc")
    assert not left.exists()
