"""What every scheme offers, and what ``Storage`` makes of any two of them."""

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from resources.storage import Storage, StorageError
from resources.storage.backend import Backend
from resources.storage.http.backend import HttpBackend
from resources.storage.hub.backend import HubBackend
from resources.storage.local import LocalBackend
from resources.storage.members.backend import MembersBackend
from resources.storage.s3.backend import S3Backend
from tests.conftest import REPOSITORY

HEAVY = ("dagster", "boto3", "botocore", "huggingface_hub", "urllib3", "fsspec", "numpy", "pyarrow", "pandas", "torch")


@pytest.fixture
def memory() -> str:
    """A folder of a scheme that has no backend of its own."""
    return f"memory://{uuid.uuid4().hex}"


@pytest.mark.parametrize("kind", [LocalBackend, S3Backend, HttpBackend, HubBackend, MembersBackend])
def test_each_class_serves_its_scheme_and_no_other(kind: type[Backend]) -> None:
    storage = Storage()
    served = {
        LocalBackend: "/tmp/a",
        S3Backend: "s3://bucket/a",
        HttpBackend: "https://one.example/a",
        HubBackend: "hf://owner/name/a",
        MembersBackend: "/tmp/a.tar!/b",
    }
    assert storage.using(kind) is storage.backend(served.pop(kind)) and type(storage.using(kind)) is kind
    assert not any(storage.using(kind) is storage.backend(uri) for uri in served.values())


@pytest.mark.parametrize("module", ["resources.storage", "resources.defaults"])
def test_no_client_and_no_array_is_loaded_before_it_is_asked_for(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert not set(HEAVY) & set(done.stdout.split())


def test_objects_go_between_any_two_schemes(memory: str, tmp_path: Path) -> None:
    storage = Storage()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_bytes(b"x")
    (tmp_path / "a" / "y.bin").write_bytes(os.urandom(20_000_000))  # more than goes through memory
    assert storage.sync(str(tmp_path / "a"), f"{memory}/up").copied == 2
    assert storage.sync(f"{memory}/up", f"{memory}/within").copied == 2
    assert storage.sync(f"{memory}/within", str(tmp_path / "b")).copied == 2
    assert (tmp_path / "b" / "y.bin").read_bytes() == (tmp_path / "a" / "y.bin").read_bytes()
    storage.move(f"{memory}/up/x.txt", str(tmp_path / "moved"))
    assert (tmp_path / "moved").read_bytes() == b"x" and not storage.exists(f"{memory}/up/x.txt")


def test_a_file_and_a_copy_of_it_elsewhere_are_filled_alike(memory: str, tmp_path: Path) -> None:
    for uri in (f"{memory}/new", str(tmp_path / "new")):
        assert Storage().fill(uri, lambda path: path.write_bytes(b"12")) == 2
        assert Storage().read_bytes(uri) == b"12"
    assert [p.name for p in tmp_path.iterdir()] == ["new"]


@pytest.mark.parametrize("target", ["https://one.example/f", "/tmp/a.tar!/f"])
def test_what_is_read_only_refuses_before_anything_is_read(target: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x")
    for act in (
        lambda: Storage().write(target, b""),
        lambda: Storage().delete(target),
        lambda: Storage().copy(str(tmp_path / "x"), target),
        lambda: Storage().sync(str(tmp_path), target),
    ):
        with pytest.raises(StorageError, match=r"can only be read|are read-only") as error:
            act()
        assert error.value.kind == "invalid"


def test_a_link_moved_onto_what_it_leads_to_leaves_both(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("kept")
    (tmp_path / "link").symlink_to(tmp_path / "a")
    Storage().move(str(tmp_path / "link"), str(tmp_path / "a"))
    assert (tmp_path / "a").read_text() == "kept" and not (tmp_path / "a").is_symlink()


def test_an_older_file_that_came_to_its_place_at_the_source_is_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "s", tmp_path / "t"
    Storage().write(str(source / "a"), b"new")
    Storage().sync(str(source), str(target))
    Storage().write(str(source / "a"), b"old")
    os.utime(source / "a", (1_000_000_000, 1_000_000_000))
    assert Storage().sync(str(source), str(target)).copied == 1 and (target / "a").read_bytes() == b"old"
    assert Storage().sync(str(source), str(target)).unchanged == 1
