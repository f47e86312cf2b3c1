"""What lies in `deploy/` beside the services is sound: systemd understands the units, and names agree.

`test_services.py` runs the services.
"""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.end_to_end.services import DEPLOY

pytestmark = pytest.mark.slow
KUBERAY = DEPLOY / "kuberay" / "raycluster.yaml"
FIELDS = {
    "spec": {
        *("authOptions", "autoscalerOptions", "enableInTreeAutoscaling", "gcsFaultToleranceOptions", "headGroupSpec"),
        *("headServiceAnnotations", "managedBy", "rayVersion", "suspend", "upgradeStrategy", "workerGroupSpecs"),
    },
    "authOptions": {"mode", "secretName"},
    "headGroupSpec": {
        *("enableIngress", "headService", "labels", "rayStartParams", "resources", "serviceType", "template"),
    },
    "workerGroupSpecs": {
        *("groupName", "idleTimeoutSeconds", "labels", "maxReplicas", "minReplicas", "numOfHosts", "rayStartParams"),
        *("replicas", "resources", "scaleStrategy", "suspend", "template"),
    },
    "template": {"metadata", "spec"},
    "pod": {
        "affinity",
        "containers",
        "imagePullSecrets",
        "nodeSelector",
        "serviceAccountName",
        "tolerations",
        "volumes",
    },
    "containers": {
        *("args", "command", "env", "envFrom", "image", "imagePullPolicy", "lifecycle", "livenessProbe", "name"),
        *("ports", "readinessProbe", "resources", "securityContext", "startupProbe", "volumeMounts", "workingDir"),
    },
    "probe": {
        *("exec", "failureThreshold", "grpc", "httpGet", "initialDelaySeconds", "periodSeconds", "successThreshold"),
        *("tcpSocket", "terminationGracePeriodSeconds", "timeoutSeconds"),
    },
    "resources": {"claims", "limits", "requests"},
    "tolerations": {"effect", "key", "operator", "tolerationSeconds", "value"},
}
"""Names that the operator knows, of those that such a file may need: from the schema of `RayCluster` v1
(ray-operator/config/crd/bases/ray.io_rayclusters.yaml of ray-project/kuberay, commit feeaf72f)."""
REQUIRED = {
    "spec": {"headGroupSpec"},
    "headGroupSpec": {"template"},
    "workerGroupSpecs": {"groupName", "maxReplicas", "minReplicas", "template"},
    "pod": {"containers"},
    "containers": {"name"},
}
QUANTITY = r"[0-9]+(\.[0-9]+)?([KMGTPE]i|[mkMGTPE])?"


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


def names_are_known(kind: str, found: dict[str, Any]) -> None:
    assert REQUIRED.get(kind, set()) <= found.keys() <= FIELDS[kind], (kind, sorted(found))


def test_cluster_of_kubernetes_has_the_fields_that_the_operator_knows() -> None:
    (cluster,) = yaml.safe_load_all(KUBERAY.read_text())
    assert (cluster["apiVersion"], cluster["kind"]) == ("ray.io/v1", "RayCluster")
    assert cluster.keys() == {"apiVersion", "kind", "metadata", "spec"}
    spec = cluster["spec"]
    names_are_known("spec", spec)
    names_are_known("authOptions", spec["authOptions"])
    names_are_known("headGroupSpec", spec["headGroupSpec"])
    assert spec["authOptions"]["mode"] in ("disabled", "token")
    for group in spec["workerGroupSpecs"]:
        names_are_known("workerGroupSpecs", group)
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    assert len({group["groupName"] for group in spec["workerGroupSpecs"]}) == len(spec["workerGroupSpecs"])
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        names_are_known("template", group["template"])
        names_are_known("pod", group["template"]["spec"])
        for toleration in group["template"]["spec"].get("tolerations", []):
            names_are_known("tolerations", toleration)
        (container,) = group["template"]["spec"]["containers"]
        names_are_known("containers", container)
        names_are_known("resources", container["resources"])
        for amounts in container["resources"].values():
            assert all(re.fullmatch(QUANTITY, amount) for amount in amounts.values()), amounts
        answers_at = group["rayStartParams"].get("node-manager-port", "6379")  # the head's own, which a worker has not
        for probe in (container["readinessProbe"], container["livenessProbe"]):
            names_are_known("probe", probe)
            assert str(probe["tcpSocket"]["port"]) == answers_at


def test_cluster_of_kubernetes_starts_ray_with_options_that_it_has() -> None:
    scripts = pytest.importorskip("ray.scripts.scripts", reason="the extra `ray` is not installed")
    (cluster,) = yaml.safe_load_all(KUBERAY.read_text())
    options = {option for parameter in scripts.start.params for option in parameter.opts}
    for group in [cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]]:
        assert {f"--{name}" for name in group["rayStartParams"]} <= options


def test_commands_of_the_guide_start_ray_with_options_that_it_has() -> None:
    scripts = pytest.importorskip("ray.scripts.scripts", reason="the extra `ray` is not installed")
    options = {option for parameter in scripts.start.params for option in parameter.opts}
    guide = (REPOSITORY / "docs" / "go-to-many-machines.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"ray start (--[^`\n]+)", guide)
    assert len(commands) >= 3
    assert {option for command in commands for option in re.findall(r"--[\w-]+", command)} <= options


def test_cluster_of_kubernetes_has_the_names_and_versions_of_everything_else() -> None:
    (cluster,) = yaml.safe_load_all(KUBERAY.read_text())
    spec = cluster["spec"]
    guide = (REPOSITORY / "docs" / "go-to-many-machines.md").read_text()
    assert f"RAY_ADDRESS=ray://{cluster['metadata']['name']}-head-svc:10001" in guide
    pods = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    containers = [one for pod in pods for one in pod["template"]["spec"]["containers"]]
    image = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["x-arot"]["image"]
    assert {one["image"] for one in containers} == {image}
    for one in containers:
        asked, most = one["resources"]["requests"], one["resources"]["limits"]
        assert most["memory"] == asked["memory"], "a node has what it was given, so what Ray counts is there"
    (pinned,) = re.findall(r"^ray==(\S+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)
    assert spec["rayVersion"] == pinned
