"""Tests are divided among workers where they share nothing, and nowhere else."""

from importlib import import_module

import pytest
from _pytest.fixtures import FixtureFunctionDefinition

from tests.conftest import REPOSITORY
from tests.order import APART, LONGEST_FIRST, piece


@pytest.mark.parametrize("file", APART)
def test_what_is_divided_makes_nothing_for_several_tests(file: str) -> None:
    module = import_module(file.removesuffix(".py").replace("/", "."))
    fixtures = [one for one in vars(module).values() if isinstance(one, FixtureFunctionDefinition)]
    shared = [one for one in fixtures if one._fixture_function_marker.scope not in ("function", "session")]
    assert not shared, f"each worker would make its own {shared}"
    assert piece(f"{file}::test_a") != piece(f"{file}::test_b")


def test_tests_of_another_file_stay_together() -> None:
    file = "tests/end_to_end/test_ui.py"
    assert file not in APART
    assert piece(f"{file}::test_a[s3://b/c::d]") == piece(f"{file}::test_b") == file


@pytest.mark.parametrize("start", LONGEST_FIRST)
def test_what_starts_first_is_there(start: str) -> None:
    assert [*REPOSITORY.glob(f"{start}*")]
