"""Files that a user edits are imported as they are written."""

import os
import sys
from pathlib import Path

import pytest

from arot_assets.own_files import import_file


def test_an_edit_of_the_same_second_and_size_counts(tmp_path: Path) -> None:
    """A file's time and size, by which Python knows its bytecode to be valid, do not tell one edit from the next."""
    file = tmp_path / "own.py"
    for answer in (1, 2):
        file.write_text(f"ANSWER = {answer}\n")
        os.utime(file, (1_700_000_000, 1_700_000_000))
        assert answer == import_file("arot_tests_own", file).ANSWER
    assert list(tmp_path.iterdir()) == [file], "nothing is left beside a user's file"


def test_a_file_that_fails_leaves_no_module(tmp_path: Path) -> None:
    """Else the next import of the name would find half of it."""
    file = tmp_path / "own.py"
    file.write_text("raise SystemExit(3)\n")
    with pytest.raises(SystemExit):
        import_file("arot_tests_failing", file)
    assert "arot_tests_failing" not in sys.modules
