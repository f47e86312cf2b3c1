"""Commands that only look do not pay for Dagster."""

import subprocess
import sys

import pytest

from tests.end_to_end.conftest import Project

HEAVY = ("dagster", "dagster_aws", "boto3", "torch", "cv2", "pandas", "numba", "sklearn", "dbt")


@pytest.mark.parametrize(
    "arguments",
    [
        ["sql", "select 1"],
        ["explain", "clean", "{name}"],
        ["ls", "{root}/.arot/store"],
        ["cat", "{root}/pyproject.toml"],
        ["peek", "{root}/.arot/store/datasets/demo/inventory.parquet"],
        ["models"],
        ["--help"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_command_that_only_looks_loads_no_dagster(done: Project, arguments: list[str]) -> None:
    ((name,),) = done.sql("select parse_filename(uri) from demo.samples where status = 'ok' order by uri limit 1")
    said = [a.format(root=done.root, name=name) for a in arguments]
    code = (
        f"import sys\nfrom arot_assets.cli import main\nmain({said!r}, standalone_mode=False)\n"
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=done.root, env=done.environment(), capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[-1] == "[]"
