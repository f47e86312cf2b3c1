"""Sensors without a daemon: what they ask for, when they keep quiet, and what they say."""

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from sensors import failure, source
from sensors.interval import SettingError, seconds_between_looks
from tests.conftest import EXAMPLES, Dataset


class Look:
    """Ticks of the source sensor of one dataset, each with the cursor that the one before left."""

    def __init__(self, dataset: Dataset, instance: dg.DagsterInstance) -> None:
        self.sensor = source.source_sensor(dataset.declaration)
        self.resources = {"storage": dataset.resources.storage, "tables": dataset.resources.tables}
        self.instance = instance
        self.cursor: str | None = None

    def __call__(self) -> dg.SensorResult:
        """One tick."""
        with dg.build_sensor_context(self.instance, cursor=self.cursor, resources=self.resources) as context:
            result = self.sensor(context)
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor or self.cursor
        return result


@pytest.fixture
def look(dataset: Dataset) -> Iterator[Look]:
    """Ticks of the sensor of ``dataset``."""
    with dg.DagsterInstance.ephemeral() as instance:
        yield Look(dataset, instance)


def _new_file(folder: Path, name: str = "new.jpg") -> None:
    shutil.copyfile(next((EXAMPLES / "photo" / "snow").glob("*.jpg")), folder / name)


def test_first_look_requests_the_inventory_and_says_why(look: Look) -> None:
    (request,) = look().run_requests or ()
    assert request.asset_selection == [dg.AssetKey(["d", "inventory"])]
    assert request.tags["arot/change"] == "12 new, 0 changed, 0 gone"


def test_nothing_changed_is_a_skip(dataset: Dataset, look: Look) -> None:
    dataset.inventory()
    result = look()
    assert not result.run_requests
    assert result.skip_reason and result.skip_reason.skip_message == "nothing changed at the source"


def test_each_change_is_asked_for_once(dataset: Dataset, source: Path, look: Look) -> None:
    dataset.inventory()
    _new_file(source)
    first = look()
    assert len(first.run_requests or ()) == 1
    again = look()
    assert not again.run_requests
    assert again.skip_reason and "already requested" in (again.skip_reason.skip_message or "")
    _new_file(source, "newer.jpg")
    (request,) = look().run_requests or ()
    assert request.tags["arot/change"] == "2 new, 0 changed, 0 gone"
    dataset.inventory()
    assert not look().run_requests


@pytest.mark.parametrize(
    ("what", "text"), [("changed", "0 new, 1 changed, 0 gone"), ("gone", "0 new, 0 changed, 1 gone")]
)
def test_changed_and_missing_files_are_changes_too(
    dataset: Dataset, source: Path, look: Look, what: str, text: str
) -> None:
    dataset.inventory()
    picture = next(source.rglob("*.jpg"))
    if what == "gone":
        picture.unlink()
    else:
        picture.write_bytes(picture.read_bytes() + b"\0")
    (request,) = look().run_requests or ()
    assert request.tags["arot/change"] == text


def test_a_change_whose_inventory_does_not_come_is_asked_for_again(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1_000_000.0]
    monkeypatch.setattr(source.time, "time", lambda: clock[0])
    (first,) = look().run_requests or ()
    clock[0] += source.ASK_AGAIN_SECONDS - 1
    assert not look().run_requests
    clock[0] += 2
    (again,) = look().run_requests or ()
    assert again.run_key != first.run_key  # Dagster drops a key that it has seen
    assert not look().run_requests


def test_an_inventory_under_way_is_not_asked_for_again(dataset: Dataset, source: Path, look: Look) -> None:
    asked_meanwhile: list[dg.SensorResult] = []

    @dg.asset(key=["d", "inventory"])
    def inventory() -> None:
        asked_meanwhile.append(look())

    job = dg.Definitions([inventory]).resolve_implicit_global_asset_job_def()
    job.execute_in_process(instance=look.instance, asset_selection=[inventory.key])
    (result,) = asked_meanwhile
    assert not result.run_requests
    assert result.skip_reason and "an inventory is in progress" in (result.skip_reason.skip_message or "")
    assert look().run_requests  # that inventory did not see the change


def test_source_that_cannot_be_listed_is_a_skip_with_the_reason(dataset: Dataset, source: Path, look: Look) -> None:
    dataset.inventory()
    shutil.rmtree(source)
    result = look()
    assert not result.run_requests
    assert result.skip_reason and f"cannot list '{source}'" in (result.skip_reason.skip_message or "")


def test_intervals_come_from_one_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AROT_SENSOR_SECONDS", raising=False)
    assert seconds_between_looks(30) == 30
    monkeypatch.setenv("AROT_SENSOR_SECONDS", "7")
    assert seconds_between_looks(30) == 7
    for wrong in ("soon", "4", "-5", "2.5"):
        monkeypatch.setenv("AROT_SENSOR_SECONDS", wrong)
        with pytest.raises(SettingError, match="AROT_SENSOR_SECONDS"):
            seconds_between_looks(30)


def test_failure_message_names_assets_cause_and_run() -> None:
    keys = [dg.AssetKey(["demo", "samples"]), dg.AssetKey(["demo", "cv2"])]
    message = failure.failure_message("r1", keys, "\n  disk full: free some space\nTraceback …\n")
    assert message == "arot: demo/cv2, demo/samples failed: disk full: free some space (run r1)"
    assert failure.failure_message("r1", (), "") == "arot: a run failed: no cause recorded (run r1)"


class Hook:
    """A server on loopback that keeps what is posted to it and answers with ``status``."""

    def __init__(self, status: int) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.posts.append((self.headers["Content-Type"], body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/services/s3cret"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def hook(request: pytest.FixtureRequest) -> Iterator[Hook]:
    """A webhook; parametrize it indirectly with the status that it answers."""
    made = Hook(getattr(request, "param", 200))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_post_sends_text_and_run_as_json(hook: Hook) -> None:
    failure.post(hook.url, "arot: x failed – ü", "r1")
    assert hook.posts == [("application/json", {"text": "arot: x failed – ü", "run_id": "r1"})]


def _failed_run_is_seen(capfd: pytest.CaptureFixture[str]) -> str:
    """Let the failure sensor see a run that failed; returns everything that was logged."""

    @dg.op
    def broken() -> None:
        raise dg.Failure("disk full: free some space")

    @dg.job
    def work() -> None:
        broken()

    with dg.instance_for_test() as instance:
        result = work.execute_in_process(instance=instance, raise_on_error=False)
        context = dg.build_run_status_sensor_context(
            sensor_name="run_failure",
            dagster_instance=instance,
            dagster_run=result.dagster_run,
            dagster_event=result.get_run_failure_event(),
        ).for_run_failure()
        capfd.readouterr()
        failure.run_failure(context)
    return capfd.readouterr().err


def test_failed_run_is_logged_and_posted(
    hook: Hook, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(failure.WEBHOOK_VARIABLE, hook.url)
    logged = _failed_run_is_seen(capfd)
    ((_, body),) = hook.posts
    assert body["text"] in logged and "failed: disk full: free some space (run " in logged
    assert "s3cret" not in logged


def test_without_a_webhook_a_failed_run_is_logged_only(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(failure.WEBHOOK_VARIABLE, raising=False)
    logged = _failed_run_is_seen(capfd)
    assert "failed" in logged and "webhook" not in logged


@pytest.mark.parametrize(
    "address",
    ["http://127.0.0.1:1/s3cret", "ftp://127.0.0.1/s3cret", "s3cret", "http://[s3cret", "http://127.0.0.1:s3cret/"],
)
def test_wrong_address_is_told_without_naming_it(
    address: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(failure.WEBHOOK_VARIABLE, address)
    logged = _failed_run_is_seen(capfd)
    assert f"webhook ${failure.WEBHOOK_VARIABLE} could not be reached" in logged and "s3cret" not in logged


@pytest.mark.parametrize(("hook", "answer"), [(403, "403"), (500, "500")], indirect=["hook"])
def test_refused_post_is_told(
    hook: Hook, answer: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(failure.WEBHOOK_VARIABLE, hook.url)
    logged = _failed_run_is_seen(capfd)
    assert f"HTTPError {answer}" in logged and "s3cret" not in logged
