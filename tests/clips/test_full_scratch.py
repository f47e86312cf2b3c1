"""Clips that are cut where the disk of temporary files is full: the disk is told, and no clip is said to be damaged."""

from pathlib import Path

import pytest

from resources.scratch import ScratchError
from tests.clips.conftest import CLIPS, ClipsOfFilms


def test_full_disk_of_temporary_files_stops_the_cut_and_fails_no_clip(
    of_films: ClipsOfFilms, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filler = small_disk / "filler"
    filler.write_bytes(bytes(1000 * 1024))
    monkeypatch.setenv("AROT_SCRATCH", str(small_disk))
    with pytest.raises(ScratchError, match=rf"'{small_disk}.*': No space left on device; .* set AROT_SCRATCH"):
        of_films.cut()
    assert not of_films.files() and not list(small_disk.rglob("*.mp4"))
    filler.unlink()
    assert [row["status"] for row in of_films.cut()] == ["ok"] * CLIPS and len(of_films.files()) == CLIPS
