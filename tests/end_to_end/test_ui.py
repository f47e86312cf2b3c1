"""The real thing, as a person meets it in the browser: one launch, and everything else comes by itself.

`arot ui` runs on a project with two declared datasets, one of them with a source that is not there, and with one SQL model
that does not run. The tests share it: they look at what came, they do not start work of their own. What one launch led to is noted
before files are added (``launched``), so that the order of the tests does not matter. Sensors look every five seconds (AROT_SENSOR_SECONDS).
"""

import base64
import csv
import io
import json
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import DATA
from tests.end_to_end.conftest import Project
from tests.end_to_end.dagster_server import ENDED, DagsterServer, dagster_server

pytestmark = pytest.mark.slow

METRICS = ("cv2", "phash", "embedding")
SHARDED = ("samples", *METRICS, "style")
MODELS = ("clean", "clean_photos", "distinct_pictures", "tag_counts", "caption_lengths", "aspect_buckets")
WHOLE = (*(f"models/{m}" for m in MODELS), *(f"classifiers/style/{part}" for part in ("labels", "split", "model")))
SHARD, NEW_SHARD = "00000", "00001"
IDLE_TICKS = 3


class Webhook:
    """A real server on loopback that keeps what is posted to it.

    Attributes:
        url: its address, with a token that must not leak.
        posts: the bodies, in order.
    """

    def __init__(self) -> None:
        self.posts: list[dict[str, Any]] = []
        posts = self.posts

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                posts.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook/token-c0ffee"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def webhook() -> Iterator[Webhook]:
    """A webhook."""
    hook = Webhook()
    yield hook
    hook.server.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, webhook: Webhook) -> Iterator[DagsterServer]:
    """`arot ui` after one launch of `demo/inventory` and one of `lost/inventory`, when nothing more happens."""
    project = Project(tmp_path_factory.mktemp("ui"))
    project.declare_dataset("demo", source="examples/images", metrics=[*METRICS], owners=["team:data"], shard_size=100)
    project.declare_dataset("lost", source="/nowhere/at/all", metrics=["phash"])
    (project.root / "dbt_like_sql" / "models" / "broken.sql").write_text("select cast('many' as integer) as n\n")
    with dagster_server(project, AROT_SENSOR_SECONDS="5", AROT_WEBHOOK_URL=webhook.url) as running:
        project.add_examples(16)
        running.launch("demo/inventory")
        running.launch("lost/inventory")
        running.wait("every asset of demo", lambda: all(running.materializations(a) for a in WHOLE))
        running.wait("no more runs", lambda: _is_idle(running))
        yield running


@dataclass(frozen=True)
class Launched:
    """What there was after one launch, before anything came to the source.

    Attributes:
        counts: of samples and each table of a row a sample: rows, samples, whether all are ok.
        models: rows of SQL models.
        materializations: asset -> its materializations.
        metadata: asset -> that of its last materialization.
        checks: asset -> check -> how it ended.
        runs: all of them.
        ticks: of all sensors.
    """

    counts: Mapping[str, tuple[int, int, bool]]
    models: Mapping[str, int]
    materializations: Mapping[str, list[dict[str, Any]]]
    metadata: Mapping[str, dict[str, Any]]
    checks: Mapping[str, dict[str, str]]
    runs: list[dict[str, Any]]
    ticks: list[dict[str, Any]]

    def partitions(self, table: str) -> Counter[str]:
        """How often each shard of a table of demo was materialized."""
        return Counter(m["partition"] for m in self.materializations[f"demo/{table}"])


@pytest.fixture(scope="module")
def launched(server: DagsterServer) -> Launched:
    """What one launch led to."""
    sharded = [f"demo/{table}" for table in SHARDED]
    query = "select count(*), count(distinct sample_id), bool_and(status = 'ok') from demo.{}"
    return Launched(
        {table: server.project.sql(query.format(table))[0] for table in SHARDED},
        {model: server.project.sql(f"select count(*) from {model}")[0][0] for model in MODELS},
        {asset: server.materializations(asset) for asset in (*sharded, *WHOLE)},
        {asset: server.metadata(asset) for asset in ("demo/inventory", *sharded, *WHOLE)},
        {asset: server.checks(asset) for asset in (*sharded, *WHOLE)},
        server.runs(),
        [tick for sensor in ("automation", "demo_source", "run_failure") for tick in server.ticks(sensor)],
    )


def _is_idle(server: DagsterServer) -> bool:
    """Whether some ticks have passed since the last run ended, and asked for nothing."""
    runs = server.runs()
    if any(run["status"] not in ENDED for run in runs):
        return False
    last = max(run["endTime"] for run in runs)
    since = [t for t in server.ticks("automation") if t["timestamp"] > last and t["endTimestamp"]]
    return len(since) >= IDLE_TICKS and all(t["status"] == "SKIPPED" for t in since)


def test_one_launch_leads_to_every_table(launched: Launched) -> None:
    assert launched.counts == dict.fromkeys(SHARDED, (48, 48, True))
    assert launched.models["clean_photos"] > 0 and launched.models["tag_counts"] > 0


def test_nothing_is_done_twice_and_nothing_goes_on_for_ever(launched: Launched) -> None:
    for table in SHARDED:
        assert launched.partitions(table) == {SHARD: 1}, table
    for asset in WHOLE:  # a look too many is allowed, see arot_assets/automation.py
        assert len(launched.materializations[asset]) <= 2, asset
    failed = {asset for run in launched.runs if run["status"] != "SUCCESS" for asset in run["assets"]}
    assert failed == {"lost/inventory", "models/broken"}
    assert all(sum(asset in run["assets"] for run in launched.runs) == 1 for asset in failed)
    assert not [tick for tick in launched.ticks if tick["error"]]


def test_samples_and_metrics_share_one_run_and_one_decode(launched: Launched) -> None:
    assert len({m["runId"] for t in ("samples", *METRICS) for m in launched.materializations[f"demo/{t}"]}) == 1


def test_metadata_shows_counts_pictures_and_columns(launched: Launched) -> None:
    inventory = launched.metadata["demo/inventory"]
    assert inventory["dagster/row_count"] == 48 and inventory["shards"] == 1
    for table in SHARDED:
        made = launched.materializations[f"demo/{table}"]
        assert {m["partition"]: m["metadata"]["dagster/row_count"] for m in made} == {SHARD: 48}, table
    sheet = _picture(launched.metadata["demo/samples"]["contact sheet"], "jpeg")
    assert sheet.width > 300 and len(sheet.getcolors(1 << 24) or ()) > 1000
    assert _picture(launched.metadata["demo/cv2"]["histograms"], "png").width > 300
    assert launched.metadata["demo/cv2"]["computed"] == 48


def test_declarations_show_group_owner_kind_and_described_columns(server: DagsterServer) -> None:
    for asset in (*(f"demo/{t}" for t in ("inventory", *SHARDED)), *WHOLE):
        declared = server.definition(asset)
        assert declared["groupName"] in ("demo", "models", "classifiers"), asset
        assert declared["kinds"] and declared["description"] and declared["owners"], asset
    for table in SHARDED:
        schema = next(m["schema"] for m in server.definition(f"demo/{table}")["metadataEntries"] if m.get("schema"))
        assert all(column["description"] for column in schema["columns"]), table


def test_subset_shows_its_waterfall_and_where_each_column_comes_from(launched: Launched) -> None:
    shown = launched.metadata["models/clean"]
    assert _waterfall_starts_with(shown, 48)
    assert "| large enough |" in shown["waterfall"] and "cv2.sharpness >= 6" in shown["waterfall"]
    assert shown["dagster/row_count"] == launched.models["clean"]
    lineage = {
        entry["columnName"]: [("/".join(d["assetKey"]["path"]), d["columnName"]) for d in entry["columnDeps"]]
        for entry in shown["dagster/column_lineage"]
    }
    assert lineage["sharpness"] == [("demo/cv2", "sharpness")]
    assert lineage["caption"] == [("demo/samples", "caption")]
    through = launched.metadata["models/clean_photos"]["dagster/column_lineage"]
    assert [
        d["assetKey"]["path"] for e in through if e["columnName"] == "style_confidence" for d in e["columnDeps"]
    ] == [["demo", "style"]]


def test_head_shows_figures_and_confusion(launched: Launched) -> None:
    shown = launched.metadata["classifiers/style/model"]
    assert shown["promoted"] == "yes" and 0.8 <= shown["accuracy"] <= 1
    for name in ("anime", "illustration", "photo"):
        assert name in shown["confusion"]


def test_every_check_has_run_and_passed(launched: Launched) -> None:
    checks = launched.checks
    for table in SHARDED:
        assert checks[f"demo/{table}"]["conservation"] == "SUCCEEDED", table
    assert "values_in_range" in checks["demo/cv2"] and "no_leak" in checks["classifiers/style/split"]
    assert len(checks["models/clean"]) >= 6
    assert {status for found in checks.values() for status in found.values()} == {"SUCCEEDED"}, checks


def test_missing_source_is_told_by_its_sensor_and_posted_to_the_webhook(
    server: DagsterServer, webhook: Webhook
) -> None:
    _, post = _failure(server, webhook, "lost/inventory")
    assert "lost/inventory failed" in post["text"] and "cannot list '/nowhere/at/all'" in post["text"]
    skips = {tick["skipReason"] for tick in server.ticks("lost_source")}
    assert any("cannot list '/nowhere/at/all'" in (reason or "") for reason in skips)
    logged = [e["message"] for t in server.ticks("run_failure") for e in t["logEvents"]["events"]]
    assert post["text"] in logged
    assert "c0ffee" not in server.log.read_text() and not any("c0ffee" in message for message in logged)


def test_model_that_does_not_run_is_told_with_its_file_and_holds_nothing_else_back(
    server: DagsterServer, webhook: Webhook
) -> None:
    _, post = _failure(server, webhook, "models/broken")
    assert "models/broken failed" in post["text"] and "models/broken.sql:1: model 'broken' does not run" in post["text"]
    assert "Could not convert string 'many'" in post["text"]
    assert not server.materializations("models/broken")


@dataclass(frozen=True)
class Update:
    """What changed at the source.

    Attributes:
        before: time just before, in seconds.
        new: number of new files, none of them with the bytes of another.
        renamed: the sample whose file has another name now.
    """

    before: float
    new: int
    renamed: str


@pytest.fixture(scope="module")
def update(server: DagsterServer, launched: Launched) -> Update:
    """New files came and one was renamed, and the source sensor has led to scores of their shard."""
    project = server.project
    ((uri, renamed),) = project.sql(
        "select uri, sample_id from demo.samples where uri like '%/photo/%' order by uri limit 1"
    )
    with (DATA / "images_update" / "update.csv").open() as file:
        new = [row["file"] for row in csv.DictReader(file) if row["kind"] == "new"]
    before = time.time()
    arriving = project.root / "arriving"
    arriving.mkdir()
    for name in new:
        shutil.copyfile(DATA / name, arriving / Path(name).name)
    # in one step, as the sensor may look at any time; no folder of a class: labels stay, so the model is not trained again
    arriving.rename(project.source / "unsorted")
    shutil.move(uri, Path(uri).with_name("renamed.jpg"))
    server.wait("scores of the new shard", lambda: NEW_SHARD in _partitions(server, "style"))
    return Update(before, len(new), renamed)


def test_new_files_are_noticed_and_only_their_shard_is_worked_on(server: DagsterServer, update: Update) -> None:
    for table in SHARDED:
        assert _partitions(server, table) == {SHARD: 1, NEW_SHARD: 1}, table
    run = next(r for r in server.runs() if r["creationTime"] > update.before and "demo/inventory" in r["assets"])
    assert run["tags"]["dagster/sensor_name"] == "demo_source"
    new, changed, gone = map(int, re.findall(r"\d+", run["tags"]["arot/change"]))
    assert 0 < new <= update.new + 1 and changed == 0 and gone <= 1  # it may look before the other one is renamed


def test_new_files_have_every_measurement_and_old_ones_keep_theirs(server: DagsterServer, update: Update) -> None:
    found = server.project.sql("select count(*), count(*) filter (status = 'ok') from demo.samples")
    assert found == [(48 + update.new, 48 + update.new)]
    for table in METRICS:
        counts = server.project.sql(
            f"select epoch(computed_at) > {update.before}, count(*) from demo.{table} group by 1"
        )
        assert dict(counts) == {False: 48, True: update.new}, table
    assert server.project.sql("select count(*) from demo.style where status = 'ok'") == [(48 + update.new,)]


def test_renamed_file_costs_no_computation(server: DagsterServer, update: Update) -> None:
    for metric in METRICS:
        (shown,) = [m["metadata"] for m in server.materializations(f"demo/{metric}") if m["partition"] == NEW_SHARD]
        assert (shown["computed"], shown["copied by content"]) == (update.new, 1), metric
        query = f"select epoch(computed_at) < {update.before} from demo.{metric} where sample_id = '{update.renamed}'"
        assert server.project.sql(query) == [(True,)], metric


def test_models_follow_new_samples(server: DagsterServer, update: Update) -> None:
    total = 48 + update.new
    server.wait("a waterfall of all samples", lambda: _waterfall_starts_with(server.metadata("models/clean"), total))
    ((kept,),) = server.project.sql("select count(*) from clean")
    assert server.metadata("models/clean")["dagster/row_count"] == kept


def _failure(server: DagsterServer, webhook: Webhook, asset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The only run of an asset, which failed, and what was posted of it."""
    (run,) = [run for run in server.runs() if run["assets"] == {asset}]
    assert run["status"] == "FAILURE"
    server.wait("a post", lambda: any(p["run_id"] == run["runId"] for p in webhook.posts))
    (post,) = [p for p in webhook.posts if p["run_id"] == run["runId"]]
    return run, post


def _waterfall_starts_with(shown: Mapping[str, Any], rows: int) -> bool:
    return bool(re.search(rf"\| \*all rows\* \| {rows} \|", shown["waterfall"]))


def _partitions(server: DagsterServer, table: str) -> Counter[str]:
    """How often each shard of a table of demo was materialized."""
    return Counter(m["partition"] for m in server.materializations(f"demo/{table}"))


def _picture(markdown: str, kind: str) -> Image.Image:
    """The image inside a Markdown metadata value."""
    found = re.fullmatch(rf"!\[[^]]+\]\(data:image/{kind};base64,([^)]+)\)", markdown.strip())
    assert found, markdown[:80]
    return Image.open(io.BytesIO(base64.b64decode(found.group(1))))
