"""Automation trains again once enough new ratings came; a person does at once. What was a test sample is never learnt."""

from pathlib import Path

import dagster as dg
import pytest

from arot_assets.classifiers.assets import unpartitioned_keys
from arot_assets.classifiers.promotion import classifier_file as file_of
from arot_assets.classifiers.promotion import latest
from arot_assets.classifiers.steps import training_state
from arot_assets.cli.status import _in_words
from arot_assets.ratings.build import build_ratings
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.events import read_events
from arot_assets.ratings.trust import build_trust
from arot_assets.steps import Look
from resources.defaults import Resources
from tests.classifiers.test_classifier_assets import KINDS, QUICK, World, copy

MODEL = unpartitioned_keys("kind")[2]


@pytest.fixture
def world(resources: Resources, tmp_path: Path) -> World:
    """Pictures, and a rater who says which are photos."""
    for kind in KINDS:
        copy(kind, slice(0, 26), tmp_path / "pictures")
    found = World(resources, tmp_path / "pictures")
    found.ingest()
    return found


class Raters:
    """What people say in a file, taken in."""

    def __init__(self, world: World, file: Path) -> None:
        self.world, self.file = world, file
        self.declaration = RatingsDeclaration.model_validate(
            {"name": "q", "dataset": "d", "sources": [{"name": "s", "file": str(file), "kind": "category"}]}
        )
        self.said: dict[str, str] = {}

    def say(self, count: int) -> None:
        """Classes of so many more pictures of each kind."""
        for kind in KINDS:
            query = f"select sample_id from d.samples where status = 'ok' and uri like '%/{kind}/%' order by all"
            unsaid = [s for (s,) in self.world.sql(query) if s not in self.said]
            self.said |= dict.fromkeys(unsaid[:count], kind)
        self.file.write_text("sample_id,rater,value\n" + "".join(f"{s},ann,{k}\n" for s, k in self.said.items()))
        r = self.world.resources
        build_ratings(r.warehouse, self.declaration)
        build_trust(r.tables, self.declaration)
        r.warehouse.refresh()


def state_in_words(world: World) -> str:
    with Look(world.resources) as look:
        return _in_words(training_state(look, world.classifier))


def by_condition(world: World) -> dict[str, dg.MetadataValue]:
    return world.train(by_condition=True)


def test_automation_waits_for_enough_new_ratings_and_a_person_does_not(world: World, tmp_path: Path) -> None:
    raters = Raters(world, tmp_path / "said.csv")
    raters.say(16)
    query = "select sample_id, label from q.labels"
    fields = {"labels": {"from_sql": query}, "start_after": 10, "promote_if": {}}
    waiting = World(world.resources, world.source, **fields)
    waiting.instance, tables = world.instance, world.resources.tables
    assert "waits" not in by_condition(waiting), "the first training waits for nothing"
    first = latest(tables, "kind")
    raters.say(2)
    shown = by_condition(waiting)
    assert latest(tables, "kind") == first
    text = "4 new ratings of 10 (start_after): automation waits for 6 more; `arot run` and the UI train at once"
    assert shown["waits"].value == text and state_in_words(waiting) == f"to be built: {text}"
    assert shown["model"].value == first.digest if first else False
    raters.say(3)
    assert "waits" not in by_condition(waiting) and latest(tables, "kind") != first
    assert state_in_words(waiting) == "current"

    second = latest(tables, "kind")
    raters.say(1)
    assert "2 new ratings of 10" in str(by_condition(waiting)["waits"].value)
    assert "waits" not in waiting.train() and latest(tables, "kind") != second, "a person launched it"

    raters.say(1)
    third = latest(tables, "kind")
    waiting.classifier = waiting.classifier.model_copy(update={"settings": {**QUICK, "weight_decays": [0.5]}})
    assert "waits" not in by_condition(waiting) and latest(tables, "kind") != third, "other settings do not wait"
    assert len(read_events(tables, "q")) == 2 * 23


def test_labels_from_elsewhere_count_by_sample(world: World, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    rows = world.sql("select sample_id, split_part(uri, '/', -2) from d.samples where status = 'ok' order by all")

    def write(count: int, wrong: int = 0) -> None:
        said = [(s, KINDS[k == KINDS[0]] if n < wrong else k) for n, (s, k) in enumerate(rows[:count])]
        file.write_text("sample_id,label\n" + "".join(f"{s},{k}\n" for s, k in said))

    write(44)
    fields = {"labels": {"from_sql": f"select * from '{file}'"}, "start_after": 5, "promote_if": {}}
    waiting = World(world.resources, world.source, **fields)
    waiting.instance = world.instance
    by_condition(waiting)
    write(46, wrong=1)
    assert str(by_condition(waiting)["waits"].value).startswith("3 new labels of 5 (start_after)")
    write(48, wrong=1)
    assert "waits" not in by_condition(waiting)


def test_a_retrain_never_uses_a_test_sample_that_was_moved_by_hand(world: World, tmp_path: Path) -> None:
    file, tables = tmp_path / "labels.csv", world.resources.tables
    rows = world.sql("select sample_id, split_part(uri, '/', -2) from d.samples where status = 'ok' order by all")
    moved: dict[str, str] = {}

    def write() -> None:
        said = [f"{s},{k},{moved.get(s, '')}\n" for s, k in rows]
        file.write_text("sample_id,label,split\n" + "".join(said))

    write()
    query = f"select sample_id, label, nullif(split, '') as split from read_csv('{file}', all_varchar = true)"
    by_hand = World(world.resources, world.source, labels={"from_sql": query}, promote_if={})
    by_hand.instance = world.instance
    by_hand.train()
    first = latest(tables, "kind")
    assert first is not None
    learnt = tables.read(file_of("kind", first.digest, "split.parquet")).to_pylist()
    test = [row for row in learnt if row["split"] == "test"]
    group = test[0]["group_id"]
    moved |= {row["sample_id"]: "train" for row in test if row["group_id"] == group}
    write()
    by_hand.train()
    second = latest(tables, "kind")
    assert second is not None and second.inputs != first.inputs
    used = {row["sample_id"] for row in tables.read(file_of("kind", second.digest, "split.parquet")).to_pylist()}
    assert moved.keys() & used == set() and len(used) == len(rows) - len(moved)
    event = world.instance.get_latest_materialization_event(unpartitioned_keys("kind")[1])
    assert event is not None and event.asset_materialization is not None
    assert event.asset_materialization.metadata["held: was in test and was moved"].value == len(moved)
