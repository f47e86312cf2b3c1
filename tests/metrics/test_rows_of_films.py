"""Metrics of stored columns have a row for each still of a film, and only rows whose inputs changed are computed again."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from arot_assets.columns import Column
from arot_assets.datasets.steps import CONSERVATION
from arot_assets.declarations.kinds import kind_of
from arot_assets.media.video import isolated
from arot_assets.metrics.assets import metric_assets
from arot_assets.metrics.conservation import rows_conserved
from arot_assets.metrics.metric import Metric, row_metric, rows
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.rows import build_rows, row_versions, rows_are_current
from arot_assets.metrics.table_builder import MetricResult
from arot_assets.subsets.load import load_project
from arot_assets.subsets.runner import build_all
from arot_assets.verify import verify
from resources.defaults import Resources
from resources.models.entry import ModelEntry
from resources.models.families.head import reference_of_vectors
from resources.storage import StorageError
from resources.tables import TableRef
from tests.metrics.test_films import FILMS, Films, decodes
from tests.metrics.test_head_tables import heads
from tests.subsets.conftest import SQL_FOLDER

__all__ = ["decodes", "heads"]


@row_metric(
    takes=rows("cv2.brightness", "samples.width"),
    version="1",
    columns=[Column("light", pa.float64(), "brightness, doubled")],
)
def light(table: pa.Table) -> dict[str, Any]:
    """Twice the brightness."""
    return {"light": [2 * value for value in table["cv2.brightness"].to_pylist()]}


@pytest.fixture
def films(resources: Resources, tmp_path: Path) -> Films:
    source = tmp_path / "films"
    source.mkdir()
    for name in ("cuts_jump.mp4", "one_frame.mp4"):
        shutil.copyfile(FILMS / name, source / name)
    found = Films(resources, source)
    found.take()
    return found


def computed(films: Films, *metrics: Metric, shard: str = "00000") -> dict[str, MetricResult]:
    r = films.resources
    return build_rows(r.warehouse, r.models, "films", shard, metrics)


def places(films: Films, table: str) -> list[tuple[Any, ...]]:
    return [(row["sample_id"], row["n"], row["pts"]) for row in films.rows(table)]


def test_each_still_has_a_row_and_only_those_of_a_new_film_are_computed(films: Films) -> None:
    films.decode("00000", "cv2")
    assert computed(films, light)["light"].computed == len(films.rows("cv2")) > 2
    assert places(films, "light") == places(films, "cv2")
    bright = [row["brightness"] for row in films.rows("cv2")]
    assert [row["light"] for row in films.rows("light")] == [2 * value for value in bright]
    assert computed(films, light)["light"].computed == 0
    r = films.resources
    version = row_versions([light], r.models)["light"]
    assert rows_are_current(r.tables, "films", light, "00000", version)
    assert rows_conserved(r.warehouse, "films", "light", several=True).holds
    assert not films.rows("sound") and verify(r, ["films"]).problems == [], "a film without sound has lost none"
    place = TableRef("films", "light", "00000")
    r.tables.write(r.tables.read(place).slice(0, 1), place, r.tables.footer(place))
    assert any("films.light: 2 rows expected, 1 lost" in problem for problem in verify(r, ["films"]).problems)
    before = {place: row["computed_at"] for place, row in zip(places(films, "light"), films.rows("light"), strict=True)}
    shutil.copyfile(FILMS / "editlist.mp4", films.source / "one_frame.mp4")
    films.take()
    results = []
    for shard in r.tables.shards("films", "samples"):
        films.decode(shard, "cv2")
        results.append(computed(films, light, shard=shard)["light"])
    assert places(films, "light") == places(films, "cv2")
    after = {place: row["computed_at"] for place, row in zip(places(films, "light"), films.rows("light"), strict=True)}
    new = [place for place in after if place not in before]
    assert new and sum(result.computed for result in results) == len(new)
    assert all(after[place] == before[place] for place in after if place in before)
    assert rows_conserved(r.warehouse, "films", "light", several=True).holds


def test_a_film_that_is_renamed_takes_its_rows_along(films: Films) -> None:
    films.decode("00000", "cv2")
    computed(films, light)
    (films.source / "cuts_jump.mp4").rename(films.source / "renamed.mp4")
    films.take()
    for shard in films.resources.tables.shards("films", "samples"):
        films.decode(shard, "cv2")
        assert computed(films, light, shard=shard)["light"].computed == 0


def test_a_film_that_failed_has_one_row_that_says_so(films: Films, monkeypatch: pytest.MonkeyPatch) -> None:
    real = isolated.measured

    def stalled(path: Path, *arguments: Any, **wanted: Any) -> Any:
        if path.name == "cuts_jump.mp4":
            raise StorageError("decoder stalled: nothing came for 60 s")
        return real(path, *arguments, **wanted)

    monkeypatch.setattr(isolated, "measured", stalled)
    films.decode("00000", "cv2")
    computed(films, light)
    (failed,) = [row for row in films.rows("light") if row["status"] == "failed"]
    assert failed["n"] is None and failed["reason"] == "no cv2: unreadable: decoder stalled: nothing came for 60 s"
    assert rows_conserved(films.resources.warehouse, "films", "light", several=True).holds


def test_a_head_scores_stills_and_joins_no_wide_view(
    films: Films, heads: dict[str, ModelEntry], tmp_path: Path
) -> None:
    films.decode("00000", "embedding")
    computed(films, get_metric("beauty"))
    vectors = np.array([row["vector"] for row in films.rows("embedding")], np.float32)
    expected = reference_of_vectors(heads["beauty"], tmp_path / "weights")(vectors)[:, 0]
    np.testing.assert_allclose([row["score"] for row in films.rows("beauty")], expected, atol=1e-4)
    assert places(films, "beauty") == places(films, "embedding")
    assert films.resources.tables.footer(TableRef("films", "beauty", "00000"))["grain"] == "still"
    warehouse = films.resources.warehouse
    warehouse.refresh()
    with warehouse.connect() as con:
        assert not any(row[0].startswith("beauty__") for row in con.sql("describe films.wide").fetchall())


SPANS = """select sample_id || '-' || k as clip_id, sample_id, 36 * k as start_n, 36 * k + 36 as end_n
    from {{ source('films', 'samples') }} cross join range(4) as r(k) where uri like '%jump%'"""
SOURCES = "sources: [{name: films, tables: [{name: samples}, {name: embedding}, {name: beauty}]}]"
AGGREGATES = {
    "beauties": "select * from {{ clip_aggregate(ref('spans'), source('films', 'beauty'), 'score') }}",
    "classes": "select * from {{ clip_aggregate(ref('spans'), source('films', 'embedding'), 'top1_probability') }}",
}


def test_clips_have_the_mean_least_tenth_and_most_of_what_a_head_says_of_their_stills(
    films: Films, heads: dict[str, ModelEntry], tmp_path: Path, decodes: list[str]
) -> None:
    films.decode("00000", "embedding")
    computed(films, get_metric("beauty"))
    decodes.clear()
    r, folder = films.resources, tmp_path / "project"
    files = {
        "dbt_project.yml": "name: small\nprofile: small\n",
        "models/sources.yml": SOURCES,
        "models/spans.sql": SPANS,
    }
    files |= {f"models/{name}.sql": text for name, text in AGGREGATES.items()}
    files["macros/films.sql"] = (SQL_FOLDER / "macros" / "films.sql").read_text()
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    r.warehouse.refresh()
    build_all(load_project(folder), r.warehouse, r.tables)
    with r.warehouse.connect() as con:
        found = con.execute(
            "select sample_id, start_n, score_mean, score_min, score_p10, score_max from main.beauties join main.spans using (clip_id)"
        ).fetchall()
        assert con.execute("select count(*), min(top1_probability_min) > 0 from main.classes").fetchone() == (4, True)
    assert len(found) == 4
    for film, start, *told in found:
        inside = [x["score"] for x in films.rows("beauty") if x["sample_id"] == film and start <= x["n"] < start + 36]
        expected = [np.mean(inside), min(inside), np.quantile(inside, 0.1), max(inside)]
        assert len(inside) >= 2 and told == pytest.approx(expected, abs=1e-5)
    assert decodes == []


def test_such_metrics_have_assets_steps_and_checks(films: Films, heads: dict[str, ModelEntry]) -> None:
    films.declaration = films.declaration.model_copy(update={"metrics": ["embedding", "beauty"]})
    steps = {key: step for step in kind_of(type(films.declaration)).steps(films.declaration) for key in step.keys}
    assert CONSERVATION in [check.name for check in steps["films", "beauty"].checks["films", "beauty"]]
    assets = metric_assets(films.declaration, films.resources.models)
    assert ["films", "beauty"] in [list(spec.key.path) for asset in assets for spec in asset.specs]
    definitions = kind_of(type(films.declaration)).definitions(films.declaration)
    checks = {(tuple(k.asset_key.path), k.name) for c in definitions.asset_checks or () for k in c.check_keys}
    assert checks == {(key, check.name) for step in steps.values() for key, of in step.checks.items() for check in of}
