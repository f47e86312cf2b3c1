"""A wrong argument is one line that names the thing, the cause and the remedy, and never a traceback."""

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.project import init_project

CASES = {
    "unknown dataset": ("report nope", 1, ["no dataset 'nope'", "`arot new image-dataset nope SOURCE`"]),
    "unknown dataset to search": ("search nope cat", 1, ["no dataset 'nope'", "`arot new image-dataset nope SOURCE`"]),
    "unknown export": ("diff nope", 1, ["no export 'nope'", "`arot new export nope SUBSET`"]),
    "another kind": ("export cats", 1, ["'cats' is no export but of type", "`arot run cats`"]),
    "misspelt dataset": ("status cts", 1, ["no dataset 'cts'", "Did you mean 'cats'?"]),
    "misspelt metric": ("new image-dataset dogs . --metrics phsh", 1, ["no metric 'phsh'. Did you mean 'phash'?"]),
    "unknown layout": ("new export e clean --layout zip", 2, ["'zip' is not one of 'pairs'"]),
    "no such port": ("ui --port 99999", 2, ["99999 is not in the range 1<=x<=65535"]),
    "no dataset named": ("run", 2, ["Missing argument 'DATASET'", "declared: cats"]),
    "no export named": ("export", 2, ["Missing argument 'NAME'"]),
    "subset of no dataset": ("new subset s dogs", 1, ["no dataset 'dogs'", "`arot new image-dataset dogs SOURCE`"]),
    "subset by a table that is not there": (
        "new subset s cats --where cv2.x>1",
        1,
        ["'cats' has no table 'cv2'", "phash"],
    ),
    "subset by no condition": ("new subset s cats --where 'phash.x >'", 1, ["not a condition: phash.x >"]),
    "subset that cannot be named": ("new subset 'My Cats' cats", 1, ["for example 'my_cats'"]),
    "empty query": ("sql ''", 1, ["the query is empty", "`arot sql --help`"]),
    "empty store": ("sql 'select * from cats.samples'", 1, ["no table 'cats.samples'", "`arot run DATASET`"]),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new project with the dataset ``cats``, which is not built."""
    root = tmp_path_factory.mktemp("wrong") / "project"
    init_project(root)
    declaration = root / "defs" / "cats" / "defs.yaml"
    declaration.parent.mkdir()
    declaration.write_text(
        f"type: arot_assets.components.ImageDataset\nattributes: {{name: cats, source: '{root}', metrics: [phash]}}\n"
    )
    return root


@pytest.mark.parametrize("case", CASES)
def test_wrong_argument_is_one_line_with_the_remedy(project: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    line, status, parts = CASES[case]
    monkeypatch.setenv("AROT_PROJECT", str(project))
    monkeypatch.setenv("AROT_STORE", str(project / "store"))
    monkeypatch.setenv("DAGSTER_HOME", str(project / "home"))
    monkeypatch.chdir(project)
    done = CliRunner().invoke(main, shlex.split(line))
    assert done.exit_code == status and isinstance(done.exception, SystemExit), done.output
    told = done.output.strip().splitlines()[-1]
    assert told.startswith("Error: ") and all(part in told for part in parts), done.output


def test_colours_can_be_switched_off(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[31m" in CliRunner().invoke(main, ["report", "nope"], color=True).stderr
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in CliRunner().invoke(main, ["report", "nope"], color=True).stderr
