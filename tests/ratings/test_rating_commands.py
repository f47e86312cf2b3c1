"""`arot review` and `arot withdraw` as a user calls them, in a project of their own."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.declarations import load_declarations
from arot_assets.ratings.declaration import RatingsDeclaration
from arot_assets.ratings.steps import ratings_state
from arot_assets.steps import Look
from tests.ratings.conftest import Rated

DATASET = "type: arot_assets.components.ImageDataset\nattributes: {{name: d, source: {source}, metrics: []}}\n"
RATINGS = """type: arot_assets.components.Ratings
attributes:
  name: q
  dataset: d
  sources: [{name: team, file: team.csv, by: path, item: image, rater: rater, value: score}]
"""


@pytest.fixture
def project(rated: Rated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project over the store of ``rated``, with one CSV of ratings."""
    root = tmp_path / "project"
    for folder, text in (("d", DATASET.format(source=rated.dataset.source)), ("q", RATINGS)):
        (root / "defs" / folder).mkdir(parents=True)
        (root / "defs" / folder / "defs.yaml").write_text(text)
    (root / "arot.toml").write_text("")
    (root / "dbt_like_sql").mkdir()
    (root / "dbt_like_sql" / "dbt_project.yml").write_text("name: p\nversion: '1'\nmodel-paths: [models]\n")
    (root / "team.csv").write_text(f"image,rater,score\n{rated.images[0]},ann,3\n{rated.images[0]},bob,4\n")
    monkeypatch.setenv("AROT_PROJECT", str(root))
    monkeypatch.setenv("AROT_STORE", rated.dataset.resources.tables.root)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return root


def test_withdrawing_removes_events_and_tells_what_must_be_made_again(rated: Rated, project: Path) -> None:
    rated.build(load_declarations().get(RatingsDeclaration, "q"))
    done = CliRunner().invoke(main, ["withdraw", "d", "ann", "--yes"])
    assert done.exit_code == 0, done.output
    assert "q: 1 events of 'ann' removed" in done.output
    assert rated.dataset.sql("select rater from ratings.q") == [("bob",)]
    with Look(rated.dataset.resources, sources=True) as look:
        assert not ratings_state(look, load_declarations().get(RatingsDeclaration, "q")).current
    assert "ratings/q" in done.output
    assert "q: scale, labels, raters" in done.output
    wrong = CliRunner().invoke(main, ["withdraw", "qq", "ann", "--yes"])
    assert wrong.exit_code == 1
    assert "no ratings 'qq'. Did you mean 'q'?" in wrong.output


def test_withdrawing_names_the_models_that_must_be_trained_again_and_the_subsets_of_their_scores(
    rated: Rated, project: Path
) -> None:
    (project / "defs" / "d" / "defs.yaml").write_text(
        DATASET.replace("metrics: []", "metrics: [phash, embedding]").format(source=rated.dataset.source)
    )
    for name, labels in (
        ("beauty", "select sample_id, value from q.scale"),
        ("city", "select sample_id, 1.0 as value from d.phash"),
    ):
        (project / "defs" / name).mkdir()
        (project / "defs" / name / "defs.yaml").write_text(
            f"type: arot_assets.components.Classifier\nattributes:\n  name: {name}\n  dataset: d\n  task: regression\n"
            f"  labels:\n    from_sql: {labels}\n"
        )
    models = project / "dbt_like_sql" / "models"
    models.mkdir()
    (models / "schema.yml").write_text("sources: [{name: d, tables: [{name: beauty}, {name: city}]}]\n")
    for name in ("beauty", "city"):
        (models / f"best_{name}.sql").write_text(
            "{{ config(tags=['subset']) }}\nselect sample_id from {{ source('d', '" + name + "') }} where value > 3\n"
        )
    rated.build(load_declarations().get(RatingsDeclaration, "q"))
    done = CliRunner().invoke(main, ["withdraw", "q", "ann", "--yes"])
    assert done.exit_code == 0, done.output
    told = done.output.partition("to be made again, by `arot run`: ")[2]
    assert "classifiers/beauty" in told and "d/beauty" in told and "best_beauty" in told
    assert "city" not in told and "left out" not in done.output


def test_review_writes_a_folder_and_shows_the_command(
    rated: Rated, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = project / ".arot" / "tools" / "lenslet"
    tool.mkdir(parents=True)
    (tool / "installed.txt").write_text("lenslet>=0.4,<0.5")  # as the first use leaves it
    done = CliRunner().invoke(main, ["review", "q", "--rater", "ann", "--limit", "3", "--no-open"])
    assert done.exit_code == 0, done.output
    assert "3 samples for ann: " in done.output
    assert f"{tool}/bin/lenslet" in done.output
    assert len(list(project.glob(".arot/reviews/q/ann-*/images/*.jpg"))) == 3
    server = CliRunner().invoke(
        main, ["review", "q", "--rater", "ann", "--with", "label-studio", "--url", "http://127.0.0.1:9"]
    )
    assert server.exit_code == 1
    assert "http://127.0.0.1:9 does not answer" in server.output
