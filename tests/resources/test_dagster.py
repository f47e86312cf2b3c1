"""Resources are plain Python; Dagster injects them through one wrapper."""

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from resources.dagster import dagster_resources
from resources.defaults import Resources, default_resources
from resources.models import Models
from resources.storage import Storage
from resources.storage.s3.settings import S3Settings
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.servers.swift import Swift


@pytest.mark.parametrize(
    "module", ["resources.storage", "resources.tables", "resources.warehouse", "resources.models", "resources.defaults"]
)
def test_importing_a_resource_loads_neither_dagster_nor_what_only_some_schemes_need(module: str) -> None:
    heavy = ("dagster", "dagster_aws", "boto3", "huggingface_hub", "urllib3", "duckdb", "pyarrow", "torch")
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_assets_are_given_the_plain_classes_with_their_settings(tmp_path: Path) -> None:
    storage = Storage(s3=S3Settings(endpoint="http://127.0.0.1:9", region="eu-north-1"))
    tables = Tables(storage, str(tmp_path))
    plain = Resources(storage, tables, Warehouse(tables, "1GB"), Models(device="cpu", batch_size=3))
    given: dict[str, Any] = {}

    @dg.asset
    def looks(
        storage: dg.ResourceParam[Storage],
        tables: dg.ResourceParam[Tables],
        warehouse: dg.ResourceParam[Warehouse],
        models: dg.ResourceParam[Models],
    ) -> None:
        given.update(storage=storage, tables=tables, warehouse=warehouse, models=models)

    assert dg.materialize([looks], resources=dagster_resources(plain)).success
    assert given == {name: getattr(plain, name) for name in ("storage", "tables", "warehouse", "models")}


def test_a_run_may_set_what_the_launchpad_shows() -> None:
    given: list[Storage] = []

    @dg.asset
    def looks(storage: dg.ResourceParam[Storage]) -> None:
        given.append(storage)

    def run(**http: object) -> None:
        config = {"resources": {"storage": {"config": {"http": http}}}}
        assert dg.materialize([looks], resources=dagster_resources(default_resources()), run_config=config).success

    run(per_host=3)
    assert given[0].http.per_host == 3
    with pytest.raises(dg.DagsterInvalidConfigError, match="per_hots"):
        run(per_hots=3)


def test_an_asset_of_a_user_gets_the_s3_resource_of_dagster_aws(
    swift: Swift, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dagster_aws.s3 import S3Resource

    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    Storage().write(f"s3://{bucket}/k", b"1")
    read: list[bytes] = []

    @dg.asset
    def reads(s3: S3Resource) -> None:
        read.append(s3.get_client().get_object(Bucket=bucket, Key="k")["Body"].read())

    assert dg.materialize([reads], resources=dagster_resources(default_resources())).success
    assert read == [b"1"]


def test_resources_go_to_other_processes(resources: Resources) -> None:
    resources.storage.exists("/tmp")
    there: Resources = pickle.loads(pickle.dumps(resources))
    assert there == resources
