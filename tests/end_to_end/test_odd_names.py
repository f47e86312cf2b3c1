"""Names that are not UTF-8, as file systems allow them: each is a row or one clear error, on the command line and in a notebook."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from resources import notebook as nb
from resources.storage import Storage, StorageError
from tests.conftest import EXAMPLES, REPOSITORY, Dataset
from tests.servers.hub import Hub
from tests.servers.swift import Swift

ODD = b"caf\xe9.txt"
STRICT = {"PYTHONIOENCODING": "utf-8:strict", "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"}
"""Standard output as Python has it in any locale that is not C."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files; the names of two are not UTF-8."""
    place = tmp_path / "place"
    (place / "sub").mkdir(parents=True)
    (place / "plain.txt").write_text("plain\n")
    for name in (ODD, b"sub/\xff\xfe.txt"):
        Path(os.fsdecode(bytes(place) + b"/" + name)).write_text("odd\n")
    return place


def arot(*arguments: bytes | str | Path, status: int = 0) -> tuple[bytes, str]:
    """What ``arot …`` writes, as bytes, and what it says of errors; in a process of its own, as a shell starts it."""
    command = [sys.executable, "-m", "arot_assets.cli", *map(os.fsencode, arguments)]
    done = subprocess.run(command, capture_output=True, cwd=REPOSITORY, env={**os.environ, **STRICT}, check=False)
    errors = done.stderr.decode()
    assert done.returncode == status and "Traceback" not in errors, errors
    return done.stdout, errors


@pytest.mark.slow
def test_listed_names_are_the_bytes_that_they_are(folder: Path) -> None:
    listed, _ = arot("ls", folder)
    assert sorted(listed.splitlines()) == sorted(
        bytes(folder) + b"/" + n for n in (b"plain.txt", ODD, b"sub/\xff\xfe.txt")
    )
    assert ODD in arot("ls", "--here", folder)[0] and ODD in arot("ls", "-l", folder)[0]
    odd = bytes(folder) + b"/" + ODD
    assert arot("cat", odd)[0] == b"odd\n"
    assert arot("peek", odd)[0].startswith(odd + b"\nlist: length 1")


@pytest.mark.slow
def test_odd_names_are_copied_as_they_are_and_missing_ones_are_one_line(folder: Path, tmp_path: Path) -> None:
    arot("sync", folder, tmp_path / "synced")
    arot("cp", bytes(folder) + b"/" + ODD, f"{tmp_path}/copied/")
    assert sorted(os.listdir(os.fsencode(tmp_path / "synced"))) == sorted([ODD, b"plain.txt", b"sub"])
    assert os.listdir(os.fsencode(tmp_path / "copied")) == [ODD]
    assert b"3 unchanged" in arot("sync", folder, tmp_path / "synced")[0]
    _, said = arot("cat", bytes(folder) + b"/none\xe9.txt", status=1)
    assert r"none\xe9.txt': No such file" in said and len(said.splitlines()) == 1
    assert b"deleted" in arot("rm", "-r", "-y", tmp_path / "synced")[0] and not (tmp_path / "synced").exists()


def test_where_names_must_be_utf_8_an_odd_one_is_named_and_the_others_arrive(
    folder: Path, swift: Swift, bucket: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    hub.create("owner/odd")
    with hub.as_default(tmp_path / "home", hub.token):
        for target in (f"s3://{bucket}/odd", "hf://datasets/owner/odd/up"):
            done = Storage().sync(str(folder), target)
            assert done.copied == 1 and nb.ls(target, relative=True) == ["plain.txt"]
            assert sorted(lost.reason.split(":")[0] for lost in done.failed) == ["refused_name"] * 2
            assert any(r"caf\xe9.txt" in lost.reason for lost in done.failed)
            for act in (Storage().read_bytes, Storage().stat, lambda uri: Storage().write(uri, b"")):
                with pytest.raises(StorageError, match="is not UTF-8"):
                    act(f"{target}/{os.fsdecode(ODD)}")


def test_a_picture_with_an_odd_name_is_a_tile_like_the_others(tmp_path: Path) -> None:
    photo = next((EXAMPLES / "photo").rglob("*.jpg"))
    odd = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.jpg")
    shutil.copy(photo, odd)
    missing = os.fsdecode(bytes(tmp_path) + b"/none\xff.jpg")
    sheet = nb.gallery([odd, photo, missing], progress=False, save=tmp_path / "sheet.html")
    assert repr(sheet) == "Gallery of 3 images, 1 of which could not be read"
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.count("<img") == 2 and r"caf\xe9.jpg" in page and r"none\xff.jpg" in page
    picked = nb.label_gallery(
        [odd, photo], ["good"], chosen={odd: "good"}, live=True, progress=False, save=tmp_path / "l.html"
    )
    assert picked.table(as_="arrow").to_pylist() == [{"uri": rf"{tmp_path}/caf\xe9.jpg", "label": "good"}]
    again = nb.label_gallery([odd, photo], ["good"], chosen=picked.table(as_="arrow"), live=True, progress=False)
    assert again.chosen == {0: "good"}


def test_a_picture_with_an_odd_name_is_a_row_that_says_so(make_dataset: Callable[..., Dataset], tmp_path: Path) -> None:
    photos = sorted((EXAMPLES / "photo").rglob("*.jpg"))
    (tmp_path / "p").mkdir()
    shutil.copy(photos[0], tmp_path / "p" / "a.jpg")
    shutil.copy(photos[1], os.fsdecode(bytes(tmp_path) + b"/p/caf\xe9.jpg"))
    dataset = make_dataset(tmp_path / "p")
    dataset.run("phash")
    odd, plain = dataset.sql("select uri, status, reason from d.samples order by status desc")
    assert plain[1:] == ("ok", None) and odd[:2] == (rf"{tmp_path}/p/caf\xe9.jpg", "unreadable")
    assert odd[2].startswith("refused_name: ") and "is not UTF-8; rename it" in odd[2]
    assert dataset.sql("select count(*) from d.phash where status = 'ok'") == [(1,)]


@pytest.mark.parametrize("name", ["names.jsonl", "names.parquet", "names.csv", "names.txt"])
def test_a_file_that_cannot_hold_an_odd_name_says_which_one(tmp_path: Path, name: str) -> None:
    rows = ["plain", os.fsdecode(ODD)] if name.endswith("txt") else [{"uri": "plain"}, {"uri": os.fsdecode(ODD)}]
    with pytest.raises(StorageError, match=r"caf\\xe9\.txt.* is not UTF-8") as error:
        nb.saves(rows, tmp_path / name)
    assert error.value.kind == "format" and not (tmp_path / name).exists()
