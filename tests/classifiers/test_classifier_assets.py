"""A classifier in Dagster, on real images: labels to scores, skipping, retraining, conservation, no image read."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
import pytest

from arot_assets.automation import BY_CONDITION
from arot_assets.classifiers.assets import classifier_assets, unpartitioned_keys
from arot_assets.classifiers.checks import classifier_checks
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.promotion import (
    PromotionError,
    classifier_file,
    current,
    decisions,
    digests,
    latest,
    promote,
    rollback,
)
from arot_assets.classifiers.steps import scores_state, training_state
from arot_assets.datasets.assets import dataset_assets, shard_partitions
from arot_assets.declarations import ImageDataset
from arot_assets.metrics.assets import metric_assets
from arot_assets.steps import Look
from arot_assets.subsets.load import load_project
from resources.dagster import dagster_resources
from resources.defaults import Resources
from resources.models import Models
from resources.models.entries import add_entry
from resources.storage import Storage
from resources.tables import TableRef, Tables
from resources.warehouse import Warehouse
from sensors.files import file_sensor
from tests.classifiers import easy
from tests.conftest import EXAMPLES
from tests.docs.restore import restore
from tests.models import tiny

KINDS = ("photo", "illustration")
QUICK = {"learning_rates": [0.01], "weight_decays": [0.1], "normalise": [False], "min_steps": 40}
NOTHING_LEARNT = {**QUICK, "learning_rates": [1e-9]}


class World:
    """A dataset of two folders, its classifier, and the Dagster instance that works on them."""

    def __init__(self, resources: Resources, source: Path, **classifier: object) -> None:
        self.resources, self.source = resources, source
        self.dataset = ImageDataset(
            name="d", source=str(source), metrics=["phash", "embedding"], shard_size=20, settle_seconds=0
        )
        fields = {"name": "kind", "dataset": "d", "labels": {"from_folder": 1}, "promote_if": {"accuracy": 0.6}}
        fields["settings"] = QUICK
        self.classifier = ClassifierDeclaration.model_validate(fields | classifier)
        self.instance = dg.DagsterInstance.ephemeral()

    def run(
        self, keys: Sequence[dg.AssetKey], sharded: bool = False, by_condition: bool = False
    ) -> dg.ExecuteInProcessResult:
        """Materialize assets with their checks, over all shards; perhaps as a condition does."""
        declaration = self.classifier
        shards = sorted(self.instance.get_dynamic_partitions("d_shards"))
        span = (
            {"dagster/asset_partition_range_start": shards[0], "dagster/asset_partition_range_end": shards[-1]}
            if sharded
            else None
        )
        return dg.materialize(
            [
                *dataset_assets(self.dataset),
                *metric_assets(self.dataset, self.resources.models),
                *classifier_assets(declaration, shard_partitions("d")),
                *classifier_checks(declaration),
            ],
            resources=dagster_resources(self.resources),
            instance=self.instance,
            selection=dg.AssetSelection.assets(*keys),
            tags={**(span or {}), **({BY_CONDITION: "true"} if by_condition else {})},
        )

    def ingest(self) -> None:
        """Inventory, samples, metrics."""
        self.run([dg.AssetKey(["d", "inventory"])])
        self.run([dg.AssetKey(["d", "samples"])], sharded=True)
        self.run([dg.AssetKey(["d", "phash"]), dg.AssetKey(["d", "embedding"])], sharded=True)

    def train(self, by_condition: bool = False) -> dict[str, dg.MetadataValue]:
        """Labels, split, model; returns the model's metadata."""
        for key in unpartitioned_keys("kind"):
            result = self.run([key], by_condition=by_condition)
            assert result.success and all(e.passed for e in result.get_asset_check_evaluations())
        (event,) = result.asset_materializations_for_node("classifiers__kind__model")
        return dict(event.metadata)

    def score(self) -> dg.ExecuteInProcessResult:
        """The scores of all shards."""
        return self.run([dg.AssetKey(["d", "kind"])], sharded=True)

    def sql(self, query: str) -> list[tuple]:
        """Rows of a query over the catalogue's views."""
        with self.resources.warehouse.connect() as con:
            return con.execute(query).fetchall()


def copy(kind: str, names: slice, folder: Path) -> None:
    """Some real images of one kind."""
    for picture in sorted(p for p in (EXAMPLES / kind).rglob("*") if p.suffix in (".jpg", ".png"))[names]:
        (folder / kind).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(picture, folder / kind / picture.name)


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder ``pictures``, and a ``store`` with all that a classifier is made from; a copy of both lies beside it."""
    folder = tmp_path_factory.mktemp("ingested") / "there"
    for kind in KINDS:
        copy(kind, slice(0, 26), folder / "pictures")
    World(resources_of(folder), folder / "pictures").ingest()
    shutil.copytree(folder, folder.with_name("kept"), symlinks=True)
    return folder


def resources_of(folder: Path) -> Resources:
    """Resources over its store."""
    storage = Storage()
    tables = Tables(store=str(folder / "store"), storage=storage)
    return Resources(storage, tables, Warehouse(tables=tables), Models(device="cpu"))


@pytest.fixture
def world(ingested: Path) -> World:
    """Pictures and store as they were, and an instance that knows the shards; what else was recorded, ``ingest`` records."""
    restore(ingested, ingested.with_name("kept"))
    world = World(resources_of(ingested), ingested / "pictures")
    world.instance.add_dynamic_partitions("d_shards", world.resources.tables.shards("d", "samples"))
    return world


def training_is_current(world: World) -> bool:
    with Look(world.resources) as look:
        return training_state(look, world.classifier).current


def outdated_scores(world: World) -> tuple[str, ...]:
    with Look(world.resources) as look:
        return scores_state(look, world.classifier).missing


def test_what_ratings_keep_from_training_is_in_no_classifiers_training(world: World) -> None:
    labels, split, _ = unpartitioned_keys("kind")
    world.run([labels])
    world.run([split])
    rows = world.resources.tables.read(classifier_file("kind", "split.parquet")).to_pylist()

    def passes(sample_id: str) -> bool:
        world.classifier.set_evaluation_sets({"quality.benchmark": f"select '{sample_id}'"})
        no_leak = next(classifier_checks(world.classifier))
        found = no_leak(tables=world.resources.tables, warehouse=world.resources.warehouse)
        assert isinstance(found, dg.AssetCheckResult)
        assert found.passed or sample_id in str(found.metadata["in quality.benchmark"].value)
        return bool(found.passed)

    of = {row["split"]: row["sample_id"] for row in rows}
    assert passes(of["test"]) and not passes(of["train"]) and not passes(of["val"])


def test_from_folders_to_scores_in_sql_and_nothing_twice(world: World) -> None:
    assert not training_is_current(world)
    metadata = world.train()
    assert metadata["promoted"].value == "yes" and metadata["accuracy"].value >= 0.6
    assert "illustration" in str(metadata["confusion"].value)
    assert Path(str(metadata["report"].value)).read_bytes().startswith(b"<!doctype html>")
    assert training_is_current(world)
    again = world.train()
    assert "nothing to do" in again
    assert all(again[k] == metadata[k] for k in ("promoted", "accuracy", "confusion", "chosen", "slices"))

    shutil.rmtree(world.source)  # scores need no image
    result = world.score()
    assert all(e.passed for e in result.get_asset_check_evaluations())
    rows = world.sql(
        "select split_part(uri, '/', -2), label, kind.status from d.samples left join d.kind using (sample_id)"
    )
    assert len(rows) == 52 and {status for *_, status in rows} == {"ok"}
    assert sum(folder == label for folder, label, _ in rows) >= 44
    shards = world.resources.tables.shards("d", "kind")
    assert shards and outdated_scores(world) == ()
    written = world.sql("select max(computed_at) from d.kind")
    world.score()
    assert world.sql("select max(computed_at) from d.kind") == written


def test_new_labels_retrain_and_new_samples_get_scores(world: World) -> None:
    world.train()
    world.score()
    first = latest(world.resources.tables, "kind")
    for kind in KINDS:
        copy(kind, slice(26, 32), world.source)
    world.ingest()
    assert not training_is_current(world)
    world.train()
    second = latest(world.resources.tables, "kind")
    assert first is not None and second is not None and second.digest != first.digest
    assert set(outdated_scores(world)) >= set(world.resources.tables.shards("d", "kind"))
    world.score()
    assert world.sql("select count(*), count(distinct metric_version) from d.kind where status = 'ok'") == [(64, 1)]


def test_another_head_over_the_same_samples_makes_scores_outdated(world: World) -> None:
    world.train()
    world.score()
    before = world.sql("select sample_id, metric_version from d.kind order by 1")
    world.classifier = other_settings(world.classifier)
    world.train()
    shards = world.resources.tables.shards("d", "kind")
    assert set(outdated_scores(world)) == set(shards)
    world.score()
    after = world.sql("select sample_id, metric_version from d.kind order by 1")
    assert [i for i, _ in after] == [i for i, _ in before]
    assert {v for _, v in after}.isdisjoint({v for _, v in before})
    assert outdated_scores(world) == ()


def test_a_head_below_the_gate_warns_and_every_row_says_why(world: World) -> None:
    strict = World(world.resources, world.source, promote_if={"accuracy": 1.0}, settings=NOTHING_LEARNT)
    strict.instance = world.instance
    for key in unpartitioned_keys("kind"):
        result = strict.run([key])
    (check,) = result.get_asset_check_evaluations()
    assert not check.passed and check.severity == dg.AssetCheckSeverity.WARN and "is below 1" in str(check.description)
    assert strict.score().success
    (row,) = strict.sql("select count(*), min(status), min(reason) from d.kind")
    assert row[:2] == (52, "failed") and row[2].startswith("no promoted model: accuracy")


def test_labels_can_come_from_sql_and_depend_on_what_the_query_reads(world: World) -> None:
    query = "select sample_id, case when height > 300 then 'tall' else 'low' end as label from d.samples join d.phash using (sample_id) where samples.status = 'ok'"
    sql = World(world.resources, world.source, labels={"from_sql": query}, promote_if={})
    sql.instance = world.instance
    sql.train()
    assert dict(sql.sql("select label, count(*) > 0 from d.kind group by 1") if sql.score().success else []) != {}
    labels, *_ = classifier_assets(sql.classifier, shard_partitions("d"))
    assert labels.asset_deps[labels.key] == {dg.AssetKey(["d", "samples"]), dg.AssetKey(["d", "phash"])}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            {"from_folder": 1, "classes": ["photo", "anime"]},
            "no sample is labelled anime; labels found: illustration, photo",
        ),
        ({"from_folder": 5}, "needs two classes or more, found: none"),
        ({"from_sql": "select 1 as x"}, r"must return sample_id and label"),
        ({"from_sql": "select sample_id, uri as label from d.sample"}, "labels cannot be read"),
        (
            {
                "from_sql": "from (select sample_id, 'a' as label from d.samples union all select sample_id, 'b' from d.samples)"
            },
            "has two labels",
        ),
    ],
)
def test_labels_that_cannot_be_used_fail_with_a_reason(world: World, labels: dict, message: str) -> None:
    bad = World(world.resources, world.source, labels=labels)
    with pytest.raises(dg.Failure, match=message):
        bad.instance = world.instance
        bad.run([unpartitioned_keys("kind")[0]])


def test_changed_file_of_labels_is_noticed_and_they_are_read_again(world: World, tmp_path: Path) -> None:
    samples = [s for shard in world.resources.tables.shards("d", "samples") for s in _ids(world, shard)]
    file = tmp_path / "my labels.csv"

    def write(first: str) -> None:
        rows = [f"{s},{first if i < 10 else 'b'}" for i, s in enumerate(samples)]
        file.write_text("\n".join(["sample_id,label", *rows]) + "\n")

    query = f"select sample_id, label from '{file}'"
    labelled = World(world.resources, world.source, labels={"from_sql": query})
    labelled.instance = world.instance
    (tmp_path / "sql").mkdir()
    (tmp_path / "sql" / "dbt_project.yml").write_text("name: none\n")
    sensor = file_sensor(load_project(tmp_path / "sql"), [labelled.classifier])
    assert sensor is not None
    key = unpartitioned_keys("kind")[0]

    def asked() -> list[dg.AssetKey]:
        with dg.build_sensor_context(world.instance, resources={"tables": world.resources.tables}) as context:
            result = sensor(context)
        return [k for r in result.run_requests or () for k in r.asset_selection or ()]

    write("a")
    assert asked() == [], "what was never made is asked for by its condition"
    labelled.run([key])
    assert asked() == []
    write("c")
    assert asked() == [key]
    version = labelled.run([key]).asset_materializations_for_node("classifiers__kind__labels")[0].tags or {}
    assert asked() == [] and version["dagster/data_version"]
    labels = world.resources.tables.read(classifier_file("kind", "labels.parquet"))
    assert set(labels["label"].to_pylist()) == {"b", "c"}


def _ids(world: World, shard: str) -> list[str]:
    rows = world.resources.tables.read(TableRef("d", "samples", shard)).to_pylist()
    return [row["sample_id"] for row in rows if row["status"] == "ok"]


def test_automation_follows_the_data_version_of_the_head(world: World) -> None:
    """Scores are asked for when another head was promoted, not when training found nothing to do."""
    assets = classifier_assets(world.classifier, shard_partitions("d"))
    rest = [*dataset_assets(world.dataset), *metric_assets(world.dataset, world.resources.models)]
    defs = dg.Definitions(assets=[*assets, *rest], resources=dagster_resources(world.resources))
    world.ingest()
    world.train()
    world.score()

    def requested(cursor: object = None) -> tuple[set[dg.AssetKey], object]:
        result = dg.evaluate_automation_conditions(
            defs, world.instance, dg.AssetSelection.assets(dg.AssetKey(["d", "kind"])), cursor=cursor
        )
        return ({dg.AssetKey(["d", "kind"])} if result.total_requested else set()), result.cursor

    _, cursor = requested()
    found, cursor = requested(cursor)
    assert found == set()
    world.run([unpartitioned_keys("kind")[2]])
    found, cursor = requested(cursor)
    assert found == set()
    world.classifier = other_settings(world.classifier)
    world.run([unpartitioned_keys("kind")[2]])
    found, _ = requested(cursor)
    assert found == {dg.AssetKey(["d", "kind"])}


def test_automation_reads_labels_again_when_their_query_changed(world: World) -> None:
    """A tick asks for the labels, and for the split and the model that follow; then for nothing more."""
    world.ingest()
    cursor: object = None

    def settle(query: str) -> list[str]:
        nonlocal cursor
        labelled = World(world.resources, world.source, labels={"from_sql": query})
        labelled.instance = world.instance
        rest = [*dataset_assets(world.dataset), *metric_assets(world.dataset, world.resources.models)]
        assets = [*classifier_assets(labelled.classifier, shard_partitions("d")), *rest]
        defs = dg.Definitions(assets=assets, resources=dagster_resources(world.resources))
        keys, asked, idle = unpartitioned_keys("kind"), [], 0
        for _ in range(8):
            selection = dg.AssetSelection.assets(*keys)
            result = dg.evaluate_automation_conditions(defs, world.instance, selection, cursor=cursor)  # type: ignore[arg-type]
            cursor = result.cursor
            wanted = [key for key in keys if result.get_num_requested(key)]
            idle = 0 if wanted else idle + 1
            if idle == 2:  # what ran between two ticks is looked at once more
                break
            asked += [key.path[-1] for key in wanted]
            for key in wanted:
                labelled.run([key])
        return asked

    query = "select sample_id, if(uri like '%photo%', 'photo', 'other') as label from d.samples where status = 'ok'"
    assert settle(query)[:3] == ["labels", "split", "model"]
    assert settle(query) == []
    assert settle(query.replace("'other'", "'drawn'"))[:3] == ["labels", "split", "model"]
    labels = world.resources.tables.read(classifier_file("kind", "labels.parquet"))
    assert set(labels["label"].to_pylist()) == {"photo", "drawn"}


def test_model_of_images_is_trained_scores_them_and_can_be_rolled_back(world: World, tmp_path: Path) -> None:
    (tmp_path / "base").mkdir()
    tiny.timm_convnext(tmp_path / "base")
    add_entry(easy.entry("timm", tmp_path / "base"))
    settings = {"epochs": 1, "batch_size": 16, "tracker": "none", "ema": 0.0}
    fields = {"inputs": "pixels", "backbone": "base", "recipe": "convnext-finetune", "promote_if": {}}
    tuned = World(world.resources, world.source, **fields, settings=settings)
    tuned.instance = world.instance
    tuned.classifier.set_files(tuned.dataset)
    assert tuned.train()["promoted"].value == "yes"
    tuned.score()
    rows = tuned.sql(
        "select status, count(*), count(distinct metric_version), max(abs(p_photo + p_illustration - 1)) from d.kind group by 1"
    )
    assert [row[:3] for row in rows] == [("ok", 52, 1)] and rows[0][3] < 1e-5
    assert outdated_scores(tuned) == () and training_is_current(tuned)

    tables, (first,) = world.resources.tables, digests(world.resources.tables, "kind")
    tuned.classifier = tuned.classifier.model_copy(update={"settings": {**settings, "seed": 1}})
    tuned.classifier.set_files(tuned.dataset)
    tuned.train()
    made = decisions(tables, "kind")
    assert "on the same" in made[-1].reason and made[-1].against == first, "compared with the one that scored"
    if made[-1].choice == "kept":
        promote(tables, "kind", reason="a test")
    second = current(tables, "kind")
    assert second is not None and second.digest != first and outdated_scores(tuned) != ()
    assert rollback(tables, "kind", "back").digest == first and outdated_scores(tuned) == ()
    assert promote(tables, "kind", second.digest[:6]).against == first
    assert rollback(tables, "kind").digest == first
    with pytest.raises(PromotionError, match="scores already"):
        promote(tables, "kind", first)
    with pytest.raises(PromotionError, match="no models 'zzz'; there are"):
        promote(tables, "kind", "zzz")
    with pytest.raises(PromotionError, match="no model that scored before"):
        rollback(tables, "kind")


def other_settings(declaration: ClassifierDeclaration) -> ClassifierDeclaration:
    """The same classifier with another penalty: another head."""
    return declaration.model_copy(update={"settings": {**QUICK, "weight_decays": [0.5]}})
