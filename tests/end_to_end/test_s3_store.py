"""The whole lake on S3, source included: the same tables as on a disk, whatever is killed, and no half object."""

import io
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from resources.defaults import Resources
from resources.models import Models
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.end_to_end.conftest import Project
from tests.servers.faults import FaultProxy, Faults
from tests.servers.swift import Swift
from tests.waiting import kill_when

TABLES = ("samples", "cv2", "phash")


@pytest.fixture(autouse=True)
def at_swift(swift: Swift, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every client of this process and of the commands finds the test server."""
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)


def on_s3(store: str) -> Resources:
    """Resources over a store on S3."""
    storage = Storage()
    tables = Tables(store=store, storage=storage)
    return Resources(storage, tables, Warehouse(tables=tables), Models(device="cpu"))


def contents(resources: Resources) -> Mapping[str, list[Any]]:
    """Every row, without times and places."""
    left_out = "'computed_at', 'ingested_at', 'uri', 'sidecars', 'duplicate_of', 'mtime', 'sidecar_mtime'"
    with resources.warehouse.connect() as con:
        return {
            t: con.execute(f"select columns(c -> c not in ({left_out})) from demo.{t} order by all").fetchall()
            for t in TABLES
        }


def parquet_keys(s3: Any, bucket: str) -> list[str]:
    """Every Parquet object below the store, listed by another client than ours."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="lake/")
    keys = [o["Key"] for page in pages for o in page.get("Contents", ())]
    return [k for k in keys if k.endswith(".parquet")]


def prepare(project: Project, bucket: str, images: int) -> None:
    """Examples on S3, declared as the source, in shards of nine."""
    project.add_examples(images)
    storage = Storage()
    assert not storage.sync(str(project.source), f"s3://{bucket}/pictures").failed
    project.declare_dataset("demo", source=f"s3://{bucket}/pictures", metrics=["cv2", "phash"], shard_size=9)
    for classifier in (project.root / "defs/classifiers").glob("*/defs.yaml"):
        classifier.unlink()


def test_run_on_s3_gives_the_tables_of_a_run_on_disk(project: Project, bucket: str) -> None:
    prepare(project, bucket, 5)
    shutil.rmtree(project.root / "dbt_like_sql" / "models" / "statistics")  # three models are as good as six
    store = f"s3://{bucket}/lake"
    project.arot("run", "demo", AROT_STORE=store)
    assert "nothing to do" in project.arot("run", "demo", AROT_STORE=store)
    project.arot("run", "demo", "--metrics", "cv2,phash")
    with project.resources.warehouse.connect() as con:
        assert con.execute("select count(*) from demo.samples where status = 'ok'").fetchone() != (0,)
    assert contents(on_s3(store)) == contents(project.resources)
    assert not (project.root / ".arot" / "store" / "s3:").exists()
    for text in (project.root / ".arot").rglob("*"):
        if text.is_file() and text.stat().st_size < 50_000_000:
            assert b"testsecret" not in text.read_bytes(), f"{text} holds the secret"


def test_killed_at_any_moment_the_tables_on_s3_end_up_the_same(
    make_project: Callable[[], Project], bucket: str, swift: Swift, tmp_path: Path
) -> None:
    project = make_project()
    prepare(project, bucket, 8)
    shutil.rmtree(project.root / "dbt_like_sql" / "models")  # SQL models are killed in test_interruptions.py
    store = f"s3://{bucket}/lake"
    s3 = swift.client()
    for moment in range(4):
        process = project.start("run", "demo", AROT_STORE=store)
        before = len(parquet_keys(s3, bucket))
        # a listing costs the server more than most of what the run asks of it
        kill_when(process, lambda: len(parquet_keys(s3, bucket)) > before + moment, poll=0.2)  # noqa: B023  # called at once
        for key in parquet_keys(s3, bucket):
            pq.read_table(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))  # every object is whole
    project.arot("run", "demo", AROT_STORE=store)
    project.arot("run", "demo")  # the same work on a disk
    assert contents(on_s3(store)) == contents(project.resources)


def test_one_request_in_five_that_is_answered_503_changes_nothing(
    make_project: Callable[[], Project], bucket: str, swift: Swift
) -> None:
    project = make_project()
    prepare(project, bucket, 3)
    shutil.rmtree(project.root / "dbt_like_sql" / "models")
    store = f"s3://{bucket}/lake"
    with FaultProxy(swift.endpoint, Faults(error=0.2), seed=5) as proxy:
        told = project.arot("run", "demo", AROT_STORE=store, AWS_ENDPOINT_URL=proxy.endpoint)
        assert proxy.injected["error"] > 10 and "Traceback" not in told
        assert "nothing to do" in project.arot("run", "demo", AROT_STORE=store, AWS_ENDPOINT_URL=proxy.endpoint)
    project.arot("run", "demo")  # the same work on a disk
    assert contents(on_s3(store)) == contents(project.resources)
    assert on_s3(store).tables.list("leases") == []


def test_missing_bucket_and_wrong_secret_are_one_clear_error(project: Project, bucket: str) -> None:
    prepare(project, bucket, 1)
    missing = project.arot("run", "demo", status=1, AROT_STORE="s3://no-such-bucket-here/lake")
    assert "NoSuchBucket" in missing and "Traceback" not in missing
    wrong = project.arot(
        "run", "demo", status=1, AROT_STORE=f"s3://{bucket}/lake", AWS_SECRET_ACCESS_KEY="not-the-secret"
    )
    assert "SignatureDoesNotMatch" in wrong and "AWS_PROFILE" in wrong and "Traceback" not in wrong
    assert "not-the-secret" not in wrong
