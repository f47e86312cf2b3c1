"""Models in the pass: an image is prepared and predicted once a model, and a device is held only by who needs it."""

import hashlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import numpy as np
import pytest

from arot_assets import components
from arot_assets.declarations import ImageDataset
from arot_assets.media.file import Limits
from arot_assets.media.image.medium import IMAGE
from arot_assets.metrics.assets import metric_assets
from arot_assets.metrics.assets.spec import metric_key
from arot_assets.metrics.build import build_metrics
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.one_pass import Item, MeasurementFailure, one_pass
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.steps import metric_steps
from arot_assets.pool import GPU_POOL, place_in_pool
from arot_assets.steps import Look
from resources.models import Models
from resources.models.weights import MODELS_VARIABLE
from tests.conftest import Dataset

EMBEDDING = get_metric("embedding")


@dataclass
class Counting:
    """A real model that counts what it is asked."""

    model: Any
    prepared: int = 0
    batches: list[int] = field(default_factory=list)

    @property
    def entry(self) -> Any:
        return self.model.entry

    @property
    def fingerprint(self) -> str:
        return str(self.model.fingerprint)

    @property
    def batch_size(self) -> int:
        return int(self.model.batch_size)

    @property
    def at_once(self) -> int:
        return int(self.model.at_once)

    def prepare(self, rgb: np.ndarray) -> np.ndarray:
        self.prepared += 1
        return self.model.prepare(rgb)  # type: ignore[no-any-return]

    def predict(self, batch: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        self.batches.append(len(batch))
        return self.model.predict(batch)  # type: ignore[no-any-return]


@pytest.fixture
def model() -> Counting:
    return Counting(Models(device="cpu", batch_size=3).get("efficientnet_lite0"))


def items(source: Path, names: Sequence[str]) -> list[Item]:
    found = sorted(source.rglob("*.jpg"))[:7]
    return [Item(hashlib.sha256(p.read_bytes()).hexdigest()[:32], str(p), frozenset(names), {}) for p in found]


def cells(todo: Sequence[Item], metrics: Mapping[str, Metric], model: Any) -> dict[tuple[str, str], Any]:
    models = {"efficientnet_lite0": model}
    found = list(
        one_pass(todo, metrics, lambda u: Path(u).read_bytes(), models, medium=IMAGE, limits=Limits(), threads=2)
    )
    assert len(found) == sum(len(i.metrics) for i in todo)
    return {(c.sample_id, c.metric): c.result for c in found}


def test_two_metrics_of_one_model_cost_one_preparation_and_one_inference(source: Path, model: Counting) -> None:
    second = replace(EMBEDDING, name="second", columns=EMBEDDING.columns[1:2], from_outputs=tops)
    metrics = {"embedding": EMBEDDING, "second": second}
    todo = items(source, ["embedding", "second"])
    todo[2] = replace(todo[2], metrics=frozenset(["second"]))
    rows = cells(todo, metrics, model)
    assert model.prepared == 7
    assert model.batches == [3, 3, 1]  # the model's own size
    for item in todo:
        if "embedding" in item.metrics:
            assert rows[item.sample_id, "second"]["top1"] == rows[item.sample_id, "embedding"]["top1"]


def tops(outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    return [{"top1": int(label)} for label in outputs["logits"].argmax(axis=1)]


def test_rows_that_cannot_be_made_fail_alone_and_cost_no_second_inference(source: Path, model: Counting) -> None:
    first = Path(items(source, [])[1].uri).read_bytes()
    wrong = model.model.predict([model.model.prepare(decoded(first))])["logits"][0]

    def picky(outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        if any(np.allclose(row, wrong, atol=1e-3) for row in outputs["logits"]):
            raise ZeroDivisionError("not this one")
        return tops(outputs)

    metric = replace(EMBEDDING, name="picky", columns=EMBEDDING.columns[1:2], from_outputs=picky)
    rows = cells(items(source, ["picky"]), {"picky": metric}, model)
    failed = [r for r in rows.values() if isinstance(r, MeasurementFailure)]
    assert failed == [MeasurementFailure("ZeroDivisionError: not this one")]
    assert sum(model.batches) == 7


@dataclass
class Ranked(Counting):
    """A real model that remembers the niceness of the threads that it was called in."""

    preparing: set[int] = field(default_factory=set)
    computing: set[int] = field(default_factory=set)

    def prepare(self, rgb: np.ndarray) -> np.ndarray:
        self.preparing.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return super().prepare(rgb)

    def predict(self, batch: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        self.computing.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        return super().predict(batch)


@pytest.mark.skipif(sys.platform != "linux", reason="only threads of Linux have priorities of their own")
def test_decoding_gives_way_to_the_model(source: Path, model: Counting) -> None:
    ranked = Ranked(model.model)
    cells(items(source, ["embedding"]), {"embedding": EMBEDDING}, ranked)
    (computing,) = ranked.computing
    assert max(ranked.preparing) > computing, "the first image is prepared by the caller, the others by workers"


@dataclass
class Refusing(Counting):
    """A real model that cannot compute some inputs."""

    refused: list[np.ndarray] = field(default_factory=list)

    def predict(self, batch: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
        if any(np.array_equal(one, other) for one in batch for other in self.refused):
            raise ValueError("not a number")
        return super().predict(batch)


def test_image_on_which_a_model_fails_is_one_failed_row_whatever_its_batch(source: Path, model: Counting) -> None:
    """In the middle of a batch, and alone in the last one; and a model that fails on every image ends nothing."""
    todo = items(source, ["embedding"])
    inputs = [model.prepare(decoded(Path(item.uri).read_bytes())) for item in todo]
    for bad in ({1, 6}, set(range(7))):
        refusing = Refusing(model.model, refused=[inputs[k] for k in sorted(bad)])
        rows = cells(todo, {"embedding": EMBEDDING}, refusing)
        for k, item in enumerate(todo):
            row = rows[item.sample_id, "embedding"]
            assert (row == MeasurementFailure("ValueError: not a number")) == (k in bad)
            if k not in bad:
                alone = model.model.predict([inputs[k]])["embedding"][0]
                np.testing.assert_allclose(row["vector"], alone, atol=2e-3)  # kept as float16


def decoded(data: bytes) -> np.ndarray:
    from arot_assets.media.image.decode import decode

    return decode(data)


def test_code_versions_are_those_of_the_injected_models(monkeypatch: pytest.MonkeyPatch, dataset: Dataset) -> None:
    half = Models(device="cpu", precision="bfloat16")
    wanted = EMBEDDING.metric_version(half.fingerprint("efficientnet_lite0"))
    declaration = ImageDataset.model_validate({"name": "d", "source": str(dataset.source), "metrics": ["embedding"]})
    monkeypatch.setattr("resources.defaults.default_resources", lambda: SimpleNamespace(models=half))
    (assets,) = [
        a
        for a in components.ImageDataset(declaration).build_defs(None).assets or ()
        if _has(a, "embedding")  # type: ignore[arg-type]
    ]
    assert assets.code_versions_by_key[metric_key("d", "embedding")] == wanted  # type: ignore[union-attr]
    assert wanted != EMBEDDING.metric_version(Models(device="cpu").fingerprint("efficientnet_lite0"))


def _has(assets: Any, table: str) -> bool:
    return metric_key("d", table) in assets.keys


def test_what_a_model_did_is_told_with_its_table(dataset: Dataset) -> None:
    dataset.run()
    r, shard = dataset.resources, dataset.shards()[0]
    result = build_metrics(r.storage, r.warehouse, r.models, dataset.declaration, shard, [EMBEDDING])["embedding"]
    said = result.model
    assert said["images"] == result.computed > 0
    where = {"device": "cpu", "engine": "onnxruntime", "precision": "float32", "batch size": 4}
    assert {name: said[name] for name in where} == where
    assert said["images/s of the model"] > 0 and said["memory of its weights, MB"] > 10
    assert said["seconds that it waited for images"] >= 0


@pytest.mark.parametrize(("table", "waits"), [("phash", False), ("embedding", True)])
def test_only_a_selection_with_a_model_waits_for_the_device(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, table: str, waits: bool
) -> None:
    """Somebody else holds the only place: the pixels' metrics go on, the model's wait until it is given back."""
    dataset.run()
    declaration = ImageDataset.model_validate(
        {"name": "d", "source": str(dataset.source), "settle_seconds": 0, "metrics": ["phash", "embedding"]}
    )
    (assets,) = metric_assets(declaration, dataset.resources.models)
    asked: list[str] = []
    with dg.instance_for_test(overrides={"concurrency": {"pools": {"default_limit": 1}}}) as instance:
        log = instance.event_log_storage
        instance.add_dynamic_partitions("d_shards", dataset.shards())
        log.initialize_concurrency_limit_to_default(GPU_POOL)
        assert log.claim_concurrency_slot(GPU_POOL, "another run", "its step").is_claimed

        def patience(seconds: float) -> None:
            asked.append(table)
            log.free_concurrency_slot_for_step("another run", "its step")

        monkeypatch.setattr("arot_assets.pool.time", SimpleNamespace(sleep=patience))
        result = dg.materialize(
            [assets, *_samples(declaration)],
            selection=[metric_key("d", table)],
            instance=instance,
            resources=vars(dataset.resources),
            partition_key=dataset.shards()[0],
        )
        assert result.success
        assert bool(asked) == waits
        assert result.run_id not in {slot.run_id for slot in log.get_concurrency_info(GPU_POOL).claimed_slots}
    assert dataset.sql(f"select count(*) > 0 from d.{table}") == [(True,)]


def test_table_whose_weights_someone_has_to_fetch_is_skipped_and_fails_only_on_its_own(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a click on the whole dataset in Dagster does it; `arot run` walks the steps."""
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "none"))
    dataset.run()
    declaration = dataset.declaration.model_copy(update={"metrics": ["phash", "faces"]})
    (assets,) = metric_assets(declaration, dataset.resources.models)
    shard = dataset.shards()[0]
    with dg.instance_for_test() as instance:
        instance.add_dynamic_partitions("d_shards", dataset.shards())

        def result_of(*tables: str) -> dg.ExecuteInProcessResult:
            return dg.materialize(
                [assets, *_samples(declaration)],
                selection=[metric_key("d", table) for table in tables],
                instance=instance,
                resources=vars(dataset.resources),
                partition_key=shard,
                raise_on_error=False,
            )

        done = result_of("phash", "faces")
        assert done.success
        assert [event.asset_key for event in done.get_asset_materialization_events()] == [metric_key("d", "phash")]
        (failure,) = [e for e in result_of("faces").all_events if e.is_step_failure]
        assert "`arot models fetch faces` brings it" in str(failure.step_failure_data.error)
    with Look(dataset.resources) as look:
        phash, faces = (look.of(step) for step in metric_steps(declaration))
    assert shard not in phash.missing and not phash.waits
    assert faces.waits == ("the weights of faces (`arot models fetch faces`)",)
    assert dataset.resources.tables.shards("d", "faces") == []


def _samples(declaration: ImageDataset) -> list[dg.AssetsDefinition]:
    from arot_assets.datasets.assets import dataset_assets

    return dataset_assets(declaration)


def test_place_in_pool_is_given_back_when_the_work_fails() -> None:
    @dg.op
    def work(context: dg.OpExecutionContext) -> None:
        asset_context = dg.AssetExecutionContext(context)
        with pytest.raises(ZeroDivisionError), place_in_pool(asset_context, "p"):
            assert len(context.instance.event_log_storage.get_concurrency_info("p").claimed_slots) == 1
            raise ZeroDivisionError
        assert context.instance.event_log_storage.get_concurrency_info("p").claimed_slots == []

    @dg.job
    def job() -> None:
        work()

    with dg.instance_for_test(overrides={"concurrency": {"pools": {"default_limit": 1}}}) as instance:
        assert job.execute_in_process(instance=instance).success
