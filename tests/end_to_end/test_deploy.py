"""What lies in `deploy/` beside the services is sound: systemd understands the units, and names agree.

`test_services.py` runs the services.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.end_to_end.services import DEPLOY

pytestmark = pytest.mark.slow


def test_units_are_understood_by_systemd(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not installed")
    units = []
    for unit in sorted((DEPLOY / "systemd").glob("*.service")):
        units.append(tmp_path / unit.name)
        units[-1].write_text(unit.read_text().replace("/opt/arot/bin/", f"{Path(sys.executable).parent}/"))
    told = subprocess.run([program, "verify", *units], capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr) == (0, "")


def test_image_holds_what_the_project_and_its_extras_name() -> None:
    said = (DEPLOY / "Dockerfile").read_text()
    kept = {line[1:].rstrip("/") for line in (DEPLOY / "Dockerfile.dockerignore").read_text().split() if line[0] == "!"}
    for line in re.findall(r"^COPY (?:--\S+ )?(.*) \S+$", said, re.MULTILINE):
        for source in line.split():
            assert (REPOSITORY / source).exists()
            assert not kept or source.split("/")[0] in {one.split("/")[0] for one in kept}, source
    (extras,) = re.findall(r"'\.\[(.*)\]'", said)
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {*extras.split(",")} <= declared.keys()


def test_cluster_of_kubernetes_has_the_names_and_versions_of_everything_else() -> None:
    (cluster,) = yaml.safe_load_all((DEPLOY / "kuberay" / "raycluster.yaml").read_text())
    spec = cluster["spec"]
    guide = (REPOSITORY / "docs" / "go-to-many-machines.md").read_text()
    assert f"RAY_ADDRESS={cluster['metadata']['name']}-head-svc:6379" in guide
    pods = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    containers = [one for pod in pods for one in pod["template"]["spec"]["containers"]]
    image = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["x-arot"]["image"]
    assert {one["image"] for one in containers} == {image}
    for one in containers:
        asked, most = one["resources"]["requests"], one["resources"]["limits"]
        assert most["memory"] == asked["memory"], "a node has what it was given, so what Ray counts is there"
    (pinned,) = re.findall(r"^ray==(\S+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert spec["rayVersion"] == pinned
