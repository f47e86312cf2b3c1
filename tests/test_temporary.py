"""Tests write to memory only where there is room, and nobody has said where."""

import os
from pathlib import Path

import pytest

from tests import temporary


@pytest.fixture(autouse=True)
def unsaid(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has said where, and there would be room."""
    monkeypatch.delenv(temporary.VARIABLE, raising=False)
    monkeypatch.setattr(temporary, "ROOM", 0)
    monkeypatch.setattr(temporary, "MEMORY", 0)


def test_where_there_is_room_tests_write_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(temporary, "IN_MEMORY", tmp_path)
    temporary.choose_folder()
    assert os.environ.pop(temporary.VARIABLE) == str(tmp_path)


@pytest.mark.parametrize("lacking", ["ROOM", "MEMORY"])
def test_without_room_or_memory_they_write_where_they_always_did(
    lacking: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(temporary, "IN_MEMORY", tmp_path)
    monkeypatch.setattr(temporary, lacking, 1 << 60)
    temporary.choose_folder()
    assert temporary.VARIABLE not in os.environ


def test_a_folder_that_somebody_named_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(temporary.VARIABLE, "/elsewhere")
    monkeypatch.setattr(temporary, "IN_MEMORY", tmp_path)
    temporary.choose_folder()
    assert os.environ[temporary.VARIABLE] == "/elsewhere"


def test_only_what_takes_memory_is_deleted_at_the_end(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(temporary, "IN_MEMORY", tmp_path / "memory")
    for place in ("memory", "disk"):
        (tmp_path / place / "session").mkdir(parents=True)
        temporary.give_back(tmp_path / place / "session")
    assert not (tmp_path / "memory" / "session").exists() and (tmp_path / "disk" / "session").exists()
