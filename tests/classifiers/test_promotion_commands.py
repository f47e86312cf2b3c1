"""Commands about models of classifiers name the classifier that is not there, and change nothing."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.project import init_project


@pytest.mark.parametrize("command", ["promote", "rollback"])
def test_classifier_that_is_not_declared_is_named(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    init_project(tmp_path / "p")
    monkeypatch.setenv("AROT_PROJECT", str(tmp_path / "p"))
    said = CliRunner().invoke(main, [command, "nope"])
    assert said.exit_code == 1 and "no classifier 'nope'" in said.output
    assert not (tmp_path / "p" / ".arot" / "store").exists()
