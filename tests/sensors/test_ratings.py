"""The sensor of ratings: what people say in a file is asked for once."""

from pathlib import Path

import dagster as dg

from arot_assets.classifiers.assets import classifier_assets
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.datasets.assets import shard_partitions
from arot_assets.ratings.assets import rating_assets
from arot_assets.ratings.build import build_ratings
from arot_assets.ratings.declaration import RatingsDeclaration
from resources.defaults import Resources
from sensors.ratings import ratings_sensor


def test_new_ratings_are_requested_once_and_a_silent_server_holds_up_nobody(
    resources: Resources, tmp_path: Path
) -> None:
    file = tmp_path / "team.csv"
    file.write_text("sample_id,value\na,3\n")
    team = RatingsDeclaration.model_validate(
        {"name": "q", "dataset": "d", "sources": [{"name": "s", "file": str(file)}]}
    )
    server = {"name": "s", "type": "label_studio", "url": "http://127.0.0.1:9", "project": 1}
    silent = RatingsDeclaration.model_validate({"name": "p", "dataset": "d", "sources": [server]})
    sensor = ratings_sensor([silent, team])
    assert sensor is not None

    def tick() -> dg.SensorResult:
        found = sensor(dg.build_sensor_context(), tables=resources.tables)
        assert isinstance(found, dg.SensorResult)
        return found

    (request,) = tick().run_requests or ()
    assert request.asset_selection == [dg.AssetKey(["ratings", "q"])]
    build_ratings(resources.warehouse, team)
    said = tick().skip_reason
    assert said is not None
    assert "http://127.0.0.1:9 does not answer" in str(said)
    file.write_text("sample_id,value\na,3\nb,4\n")
    assert len(tick().run_requests or ()) == 1
    assert ratings_sensor([]) is None


def test_steps_set_to_manual_are_started_by_nothing() -> None:
    ratings = {"name": "q", "dataset": "d", "sources": [{"name": "s", "file": "x.csv"}], "split": {}}
    classifier = {"name": "kind", "dataset": "d", "labels": {"from_folder": 1}}

    def by_hand(*manual: str) -> set[str]:
        of_ratings = [step for step in manual if step in ("ratings", "trust")]
        of_classifier = [step for step in manual if step not in of_ratings]
        made = [
            *rating_assets(RatingsDeclaration.model_validate({**ratings, "manual": of_ratings})),
            *classifier_assets(
                ClassifierDeclaration.model_validate({**classifier, "manual": of_classifier}), shard_partitions("d")
            ),
        ]
        specs = [spec for one in made for spec in one.specs]
        return {"/".join(spec.key.path) for spec in specs if spec.automation_condition is None}

    assert by_hand() == set()
    assert by_hand("ratings") == {"ratings/q"}
    assert by_hand("trust") == {"q/scale", "q/labels", "q/raters"}
    assert by_hand("labels", "split") == {"classifiers/kind/labels", "classifiers/kind/split"}
    assert by_hand("model", "scores") == {"classifiers/kind/model", "d/kind"}
    assert ratings_sensor([RatingsDeclaration.model_validate({**ratings, "manual": ["ratings"]})]) is None
