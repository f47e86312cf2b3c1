"""An export that is killed, or whose disk is full or read-only: the version before stays whole, and the next export completes."""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

import pytest

from arot_assets.exports.build import export
from arot_assets.exports.destinations.remote import RemoteDestination
from arot_assets.exports.errors import ExportError
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.versions import current_receipt
from arot_assets.subsets.load import load_project
from resources.defaults import Resources
from resources.models import Models
from resources.processes import Owner
from resources.scratch import ScratchError
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.conftest import Dataset
from tests.exports.training import Training, place, tree
from tests.servers.swift import Swift

MOMENTS = {
    "while media are written": ("arot_assets.exports.media_files", "_write_one", 5),
    "before configurations are written": ("arot_assets.exports.build", "_write_configs", 1),
    "before it takes its place": ("arot_assets.exports.destinations.folder", "FolderDestination.publish", 1),
    "before its records": ("arot_assets.exports.build", "write_records", 1),
    "before it is current": ("arot_assets.exports.versions", "make_current", 1),
}
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.exports.test_kills"])


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """The subset ``chosen`` of twelve photos."""
    dataset.run()
    return Training(dataset, tmp_path / "project")


def export_and_die(store: str, project: Path, declaration: str, moment: str) -> None:
    """Export, and be killed at a moment, as by ``kill -9``; runs in a process of its own."""
    module, name, call = MOMENTS[moment]
    holder = import_module(module)
    *outer, name = name.split(".")
    for part in outer:
        holder = getattr(holder, part)
    real, calls = getattr(holder, name), 0

    def deadly(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        if calls >= call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    setattr(holder, name, deadly)
    _export(store, project, declaration)


def export_to_s3_and_die(store: str, project: Path, declaration: str, environment: dict[str, str]) -> None:
    """Export to S3, and be killed when all of it is staged, before anything is sent; runs in a process of its own."""
    os.environ.update(environment)
    RemoteDestination.publish = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[method-assign,assignment]
    _export(store, project, declaration)


def export_on_a_full_disk(store: str, project: Path, declaration: str) -> None:
    """Export where no file can grow beyond a few kilobytes, so that the kernel refuses to write; says so by its exit code."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        _export(store, project, declaration)
    except ExportError as error:
        os._exit(7 if "the version before is as it was" in str(error) else 8)


def export_as_anybody(store: str, project: Path, declaration: str) -> None:
    """Export without the power that root has over permissions; says by its exit code that the place could not be written."""
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()  # capset(2), third version
    assert ctypes.CDLL(None, use_errno=True).capset(header, none) == 0, ctypes.get_errno()
    try:
        _export(store, project, declaration)
    except ExportError as error:
        os._exit(7 if "cannot be written: Permission denied" in str(error) else 8)


def _export(store: str, project: Path, declaration: str) -> None:
    storage = Storage()
    tables = Tables(store=store, storage=storage)
    resources = Resources(storage, tables, Warehouse(tables=tables), Models(device="cpu"))
    export(ExportDeclaration.model_validate(json.loads(declaration)), load_project(project), resources)


def in_a_process(training: Training, work: Callable[..., None], *more: str | dict[str, str], **fields: str) -> int:
    """The exit code of an export with another quality than the version before."""
    declaration = training.declaration(format="png", max_side=300, **fields).model_dump_json()
    arguments = (training.resources.tables.root, training.folder, declaration, *more)
    child = PROCESSES.Process(target=work, args=arguments)
    child.start()
    child.join()
    assert child.exitcode is not None
    return child.exitcode


def test_killed_at_any_moment_the_version_before_stays_whole_and_the_next_export_completes(training: Training) -> None:
    first = training.export()
    before = tree(place(first))
    for moment in MOMENTS:
        assert in_a_process(training, export_and_die, moment) == -signal.SIGKILL, moment
        assert tree(place(first)) == before, moment
        assert current_receipt(training.resources.tables, "train") == first.receipt, moment
    done = training.export(format="png", max_side=300)
    assert done.changed and done.seen is not None and done.seen.whole and done.seen.found == 12
    assert len(list((place(done) / "images").glob("*.png"))) == 12 and tree(place(first)) == before
    assert not [p for p in place(first).parent.iterdir() if p.name.startswith(".arot-tmp-") and p.is_dir()]


def test_next_export_removes_what_a_killed_one_had_staged_for_s3(
    training: Training, swift: Swift, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**swift.environment(), "AROT_SCRATCH": str(scratch)}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    target = f"s3://{bucket}/sets"
    assert in_a_process(training, export_to_s3_and_die, environment, destination=target) == -signal.SIGKILL
    assert len(list(scratch.rglob("*.png"))) == 12
    assert training.export(format="png", max_side=300, destination=target).changed
    assert not [path for path in scratch.rglob("*") if path.is_file() and not path.name.startswith(str(Owner.me()))]


def test_disk_of_temporary_files_that_is_full_is_named_and_not_the_destination(
    training: Training, swift: Swift, bucket: str, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (small_disk / "filler").write_bytes(bytes(960 * 1024))
    for name, value in {**swift.environment(), "AROT_SCRATCH": str(small_disk)}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ScratchError, match=rf"'{small_disk}.*': No space left on device; .* set AROT_SCRATCH"):
        training.export(format="png", max_side=300, destination=f"s3://{bucket}/sets")
    assert not list(small_disk.rglob("*.png")) and not swift.client().list_objects_v2(Bucket=bucket).get("Contents")
    assert current_receipt(training.resources.tables, "train") is None


def test_a_full_disk_leaves_the_version_before_whole(training: Training) -> None:
    first = training.export()
    before = tree(place(first))
    assert in_a_process(training, export_on_a_full_disk) == 7
    assert tree(place(first)) == before
    assert current_receipt(training.resources.tables, "train") == first.receipt
    assert training.export(format="png", max_side=300).changed


@pytest.mark.skipif(sys.platform != "linux", reason="powers are given up as Linux has them")
def test_a_read_only_place_is_named_and_nothing_of_it_changes(training: Training, tmp_path: Path) -> None:
    target = str(tmp_path / "target")
    first = training.export(destination=target)
    before = tree(place(first))
    place(first).parent.chmod(0o555)
    assert in_a_process(training, export_as_anybody, destination=target) == 7
    place(first).parent.chmod(0o755)
    assert tree(place(first)) == before
    assert current_receipt(training.resources.tables, "train") == first.receipt
    assert training.export(destination=target, quality=80).changed
