"""The whole loop in a running daemon: what a person says in a file leads to events, labels, a model, scores and a subset by itself.

One test, in the order in which things happen to a team: a first training, ratings that are too few for another, and ratings whose
model is not good enough.
"""

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from arot_assets.classifiers.promotion import classifier_file, current, decisions, latest
from tests.end_to_end.conftest import Project
from tests.end_to_end.dagster_server import DagsterServer, dagster_server

pytestmark = pytest.mark.slow

KINDS = ("photo", "illustration")
MODEL, SUBSET = "classifiers/kind/model", "models/photos"
SOURCES = """sources:
- name: demo
  database: catalog
  tables: [{name: samples}, {name: kind}]
"""
PHOTOS = """{{ config(tags=['subset']) }}
select samples.sample_id, samples.uri, kind.confidence
from {{ source('demo', 'samples') }} as samples
left join {{ source('demo', 'kind') }} as kind using (sample_id)
where samples.status = 'ok'  -- decodable
    and kind.label = 'photo'  -- said to be a photo
"""


def declare(project: Project, kind: str, **attributes: Any) -> None:
    """Write a defs.yaml."""
    path = project.defs / attributes["name"] / "defs.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"type": f"arot_assets.components.{kind}", "attributes": attributes}))


@pytest.fixture
def loop(project: Project) -> Project:
    """Pictures of two kinds, others beside, a file of ratings that does not say anything yet, a classifier and a subset."""
    shutil.rmtree(project.defs / "classifiers")
    shutil.rmtree(project.root / "dbt_like_sql" / "models")
    (project.root / "dbt_like_sql" / "models").mkdir()
    (project.root / "dbt_like_sql" / "models" / "sources.yml").write_text(SOURCES)
    (project.root / "dbt_like_sql" / "models" / "photos.sql").write_text(PHOTOS)
    pictures = project.add_examples(24)
    for picture in pictures:
        others = picture.is_relative_to(project.source / "anime")
        if others:
            target = project.root / "others" / picture.name
            target.parent.mkdir(exist_ok=True)
            picture.rename(target)
    project.declare_dataset("demo", source="examples/images", metrics=["phash", "embedding"], shard_size=100)
    project.declare_dataset("others", source="others", metrics=["embedding", "kind"], shard_size=100)
    sources = [{"name": "team", "file": str(project.root / "said.csv"), "item": "image", "by": "path"}]
    sources[0]["kind"] = "category"
    declare(project, "Ratings", name="team", dataset="demo", sources=sources)
    declare(
        project,
        "Classifier",
        name="kind",
        dataset="demo",
        labels={"from_sql": "select sample_id, label from team.labels where label is not null"},
        settings={"learning_rates": [0.01], "weight_decays": [0.1], "normalise": [False], "min_steps": 60},
        start_after=4,
        promote_if={"macro_f1": 0.7},
    )
    return project


def say(project: Project, said: dict[Path, str]) -> None:
    """What Ann said of pictures, in one step, as the sensor may look at any time."""
    rows = [f"{picture.relative_to(project.source)},ann,{kind}\n" for picture, kind in said.items()]
    part = project.root / "said.part"
    part.write_text("image,rater,value\n" + "".join(rows))
    part.rename(project.root / "said.csv")


def trained(server: DagsterServer) -> list[dict[str, Any]]:
    """What was shown of each look at the model, the newest first."""
    return [event["metadata"] for event in server.materializations(MODEL)]


def test_ratings_lead_to_a_model_that_scores_and_to_a_subset_unless_it_is_not_good_enough(loop: Project) -> None:
    tables = loop.resources.tables
    pictures = {
        picture: kind
        for kind in KINDS
        for picture in sorted((loop.source / kind).rglob("*"))
        if picture.suffix != ".txt"
    }
    pictures = {picture: kind for picture, kind in pictures.items() if picture.suffix in (".jpg", ".png", ".webp")}
    unsaid = {picture: pictures.pop(picture) for picture in list(pictures)[:2]}
    say(loop, pictures)
    with dagster_server(loop, AROT_SENSOR_SECONDS="5") as server:
        server.wait("scores of other pictures", lambda: server.materializations("others/kind"))
        server.wait("a subset with photos", lambda: loop_rows(loop) > 0)
        first = current(tables, "kind")
        assert first is not None and trained(server)[0]["promoted"] == "yes"
        assert loop.sql("select count(*), count(distinct event_id) from ratings.team") == [(len(pictures),) * 2]
        server.wait(
            "scores of this model everywhere",
            lambda: all(
                loop.sql(f"select count(*) filter (status <> 'ok') from {dataset}.kind") == [(0,)]
                for dataset in ("demo", "others")
            ),
        )
        scores = loop.sql("select sample_id, label, confidence from demo.kind order by all")
        assert len(scores) == len(pictures) + len(unsaid)

        pictures |= unsaid
        say(loop, pictures)
        server.wait("a model that waits", lambda: "waits" in trained(server)[0])
        assert trained(server)[0]["waits"].startswith("2 new ratings of 4 (start_after)")
        assert latest(tables, "kind") == first and len(decisions(tables, "kind")) == 1

        # what is judged by is called wrong, what is learnt from is not: such a model is surely below its gate
        split = tables.read(classifier_file("kind", "split.parquet")).to_pylist()
        judging = {row["sample_id"] for row in split if row["split"] == "test"}
        places = {Path(uri) for uri, sample in loop.sql("select uri, sample_id from demo.samples") if sample in judging}
        assert len(places & pictures.keys()) >= 4
        say(loop, {p: KINDS[kind == KINDS[0]] if p in places else kind for p, kind in pictures.items()})
        server.wait("a decision", lambda: len(decisions(tables, "kind")) == 2)
        server.wait("its run", lambda: "waits" not in trained(server)[0] and trained(server)[0]["promoted"] != "yes")
        made, kept = decisions(tables, "kind")
        assert made.choice == "promoted" and kept.choice == "kept" and "macro_f1" in kept.reason
        assert kept.reason in trained(server)[0]["promoted"]
        server.wait("its check", lambda: server.checks(MODEL)["good_enough"] == "FAILED")  # told after the model itself
        assert current(tables, "kind") == first, "the model that scored goes on"
        assert loop.sql("select sample_id, label, confidence from demo.kind order by all") == scores
        # ratings that came before their samples lead to labels of nothing, which say so
        failed = [run["assets"] for run in server.runs() if run["status"] == "FAILURE"]
        assert all("classifiers/kind/labels" in assets for assets in failed)


def loop_rows(project: Project) -> int:
    """Rows of the subset; none before it was built."""
    tables = project.resources.tables
    if "photos.parquet" not in tables.list("models"):
        return 0
    ((count,),) = project.sql("select count(*) from photos")
    return int(count)
