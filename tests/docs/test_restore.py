"""A folder that was changed in every way is what it was, and only what was changed is written."""

import os
import shutil
from pathlib import Path

from tests.docs.restore import restore


def shown(folder: Path) -> dict[str, object]:
    """What a folder has: the content or target, mode and time of change of each thing in it."""
    found: dict[str, object] = {}
    for path in (folder, *sorted(folder.rglob("*"))):
        facts = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        times = None if path.is_symlink() else facts.st_mtime_ns
        found[str(path.relative_to(folder))] = (facts.st_mode, content, times)
    return found


def test_a_changed_folder_is_what_it_was_and_the_rest_is_left_alone(tmp_path: Path) -> None:
    folder, kept = tmp_path / "folder", tmp_path / "kept"
    (folder / "inner" / "deep").mkdir(parents=True)
    (folder / "gone").mkdir()
    for name in ("same", "longer", "equal", "removed", "mode", "inner/deep/a", "gone/b", "file_to_folder"):
        (folder / name).write_text(name)
        os.utime(folder / name, (1_700_000_000, 1_700_000_000))  # clocks of files may stand still for milliseconds
    (folder / "link").symlink_to("same")
    (folder / "broken").symlink_to("nowhere")
    (folder / "to_inner").symlink_to("inner")
    shutil.copytree(folder, kept, symlinks=True)
    before, untouched = shown(folder), (folder / "same").stat().st_ino
    (folder / "longer").write_text("longer text")
    (folder / "equal").write_text("EQUAL")  # of the same size
    (folder / "removed").unlink()
    (folder / "mode").chmod(0o755)
    (folder / "new").mkdir()
    (folder / "new" / "c").write_text("c")
    (folder / "inner" / "deep" / "d").write_text("d")
    shutil.rmtree(folder / "gone")
    (folder / "gone").write_text("a file now")
    (folder / "file_to_folder").unlink()
    (folder / "file_to_folder").mkdir()
    (folder / "link").unlink()
    (folder / "link").symlink_to("longer")
    (folder / "to_inner").unlink()
    (folder / "to_inner").mkdir()
    assert shown(folder) != before
    restore(folder, kept)
    assert shown(folder) == before == shown(kept)
    assert (folder / "same").stat().st_ino == untouched
