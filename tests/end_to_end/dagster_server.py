"""The real `arot ui` (web page, daemon, code server) of a project, for tests that drive it over GraphQL.

Belongs here: starting and stopping it, and the questions that tests ask it. Does not belong here: what the answers should be.
"""

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from tests.end_to_end.conftest import Project
from tests.waiting import until, work_of

T = TypeVar("T")

REPOSITORY = {"repositoryLocationName": "arot_assets.definitions", "repositoryName": "__repository__"}
STOP_SECONDS = 20.0
ENDED = ("SUCCESS", "FAILURE", "CANCELED")

LAUNCH = """mutation ($params: ExecutionParams!) { launchPipelineExecution(executionParams: $params) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
RUNS = """{ runsOrError { ... on Runs { results { runId status creationTime startTime endTime
  assetSelection { path } tags { key value } } } } }"""
PROGRESS = """{ runsOrError { ... on Runs { results { runId status stats { ... on RunStatsSnapshot {
  stepsSucceeded stepsFailed materializations expectations } } } } } }"""
MATERIALIZATIONS = """query ($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
  assetMaterializations(limit: 100) { runId partition metadataEntries { label description __typename
    ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue } ... on TextMetadataEntry { text }
    ... on BoolMetadataEntry { boolValue } ... on MarkdownMetadataEntry { mdStr } ... on PathMetadataEntry { path }
    ... on TableSchemaMetadataEntry { schema { columns { name type description } } }
    ... on TableColumnLineageMetadataEntry { lineage { columnName columnDeps { assetKey { path } columnName } } } } } } } }"""
DEFINITION = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  groupName kinds description owners { ... on TeamAssetOwner { team } ... on UserAssetOwner { email } }
  metadataEntries { label ... on TableSchemaMetadataEntry { schema { columns { name description } } } } } } }"""
CHECKS = """query ($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) { ... on AssetNode {
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization {
    status evaluation { success severity description } } } } } } } }"""
TICKS = """query ($sensor: SensorSelector!) { sensorOrError(sensorSelector: $sensor) { ... on Sensor { sensorState {
  ticks(limit: 200) { status timestamp endTimestamp skipReason runIds error { message } logEvents { events { message level } } } } } } }"""


class DagsterServer:
    """A running `arot ui`.

    Attributes:
        project: whose results it shows.
        url: where it listens, on loopback.
        log: what it printed so far.
    """

    def __init__(self, project: Project, url: str, log: Path) -> None:
        self.project = project
        self.url = url
        self.log = log

    def graphql(self, query: str, **variables: Any) -> Any:
        """The data of an answer.

        Raises:
            RuntimeError: the answer holds errors.
            OSError: not reached.
        """
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                found = json.load(answer)
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()) from error
        if found.get("errors"):
            raise RuntimeError(str(found["errors"]))
        return found["data"]

    def launch(self, *assets: str) -> str:
        """Launch a run of some assets as the button “Materialize” does; returns its id."""
        selection = [{"path": asset.split("/")} for asset in assets]
        job = {**REPOSITORY, "pipelineName": "__ASSET_JOB", "assetSelection": selection, "assetCheckSelection": None}
        params = {"selector": job, "mode": "default", "runConfigData": "{}"}
        answer = self.graphql(LAUNCH, params=params)["launchPipelineExecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def runs(self) -> list[dict[str, Any]]:
        """All runs, the oldest first, with ``assets`` as ``a/b`` and ``tags`` as a mapping."""
        found = self.graphql(RUNS)["runsOrError"]["results"]
        for run in found:
            run["assets"] = {"/".join(key["path"]) for key in run["assetSelection"] or ()}
            run["tags"] = {tag["key"]: tag["value"] for tag in run["tags"]}
        return sorted(found, key=lambda run: run["creationTime"])

    def materializations(self, asset: str) -> list[dict[str, Any]]:
        """Materializations of an asset, the newest first: run id, partition, and metadata by label."""
        found = self.graphql(MATERIALIZATIONS, key={"path": asset.split("/")})["assetOrError"]
        events = found.get("assetMaterializations", [])
        return [{**e, "metadata": {m["label"]: _value(m) for m in e["metadataEntries"]}} for e in events]

    def metadata(self, asset: str) -> dict[str, Any]:
        """Metadata of an asset's newest materialization."""
        found: dict[str, Any] = self.materializations(asset)[0]["metadata"]
        return found

    def definition(self, asset: str) -> dict[str, Any]:
        """How an asset is declared: group, kinds, owners, description."""
        found: dict[str, Any] = self.graphql(DEFINITION, key={"path": asset.split("/")})["assetNodeOrError"]
        return found

    def checks(self, asset: str) -> dict[str, str]:
        """The checks of an asset for its newest materialization: name -> SUCCEEDED, FAILED …, or NOT RUN."""
        found = self.graphql(CHECKS, key={"path": asset.split("/")})["assetNodeOrError"]["assetChecksOrError"]
        runs = {c["name"]: c["executionForLatestMaterialization"] for c in found.get("checks", [])}
        return {name: run["status"] if run else "NOT RUN" for name, run in runs.items()}

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        """Ticks of a sensor, the newest first."""
        state = self.graphql(TICKS, sensor={**REPOSITORY, "sensorName": sensor})["sensorOrError"]["sensorState"]
        found: list[dict[str, Any]] = state["ticks"]
        return found

    def wait(self, what: str, condition: Callable[[], T]) -> T:
        """Poll until a condition gives something true, and give it.

        Raises:
            AssertionError: no run began, went on or ended for a while; tells the runs and the end of the log.
        """

        def runs() -> str:
            return "\n".join(f"{r['runId'][:8]} {r['status']:8} {sorted(r['assets'])}" for r in self.runs())

        return until(what, condition, self._moves, poll=1.0, told=lambda: f"{runs()}\n{self.log.read_text()[-3000:]}")

    def _moves(self) -> Any:
        """What changes while runs go on: their states and the number of their events; ticks that find nothing do not."""
        return self.graphql(PROGRESS)


def _value(entry: Mapping[str, Any]) -> Any:
    """The one value of a metadata entry, whatever its kind."""
    return next((v for k, v in entry.items() if k not in ("label", "description", "__typename")), None)


@contextmanager
def dagster_server(project: Project, **environment: str) -> Iterator[DagsterServer]:
    """Start `arot ui` on a free port of loopback, wait until it has loaded the project, stop it at the end.

    Args:
        project: whose.
        environment: more variables.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = project.root / "ui.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "arot_assets.cli", "ui", "--port", str(port)],
            cwd=project.root,
            env=project.environment(**environment),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = DagsterServer(project, f"http://127.0.0.1:{port}", log)
    try:
        wait_until_loaded(server, process)
        yield server
    finally:
        _stop(process)


def wait_until_loaded(server: DagsterServer, process: "subprocess.Popen[bytes]") -> None:
    """Wait until a server knows the project.

    Raises:
        AssertionError: it ended, or stands still.
    """

    def loaded() -> bool:
        try:
            server.ticks("automation")
        except (OSError, RuntimeError, KeyError) as error:
            if process.poll() is not None:
                raise AssertionError(f"arot ui did not start: {error}\n{server.log.read_text()[-3000:]}") from error
            return False
        return True

    until("arot ui", loaded, work_of(process.pid), poll=0.25, told=lambda: server.log.read_text()[-3000:])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ctrl-C; and again if that takes too long, which kills at once, so that nothing outlives the test."""
    for _ in range(2):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
    process.wait()
