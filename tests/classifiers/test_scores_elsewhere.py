"""A classifier among the metrics of another dataset: its promoted model scores images, and stills of films, there too."""

import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from arot_assets.classifiers.assets import classifier_assets
from arot_assets.classifiers.checks import classifier_checks
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.inputs import with_hashes
from arot_assets.classifiers.labels import read_labels
from arot_assets.classifiers.promotion import classifier_file, current, promote, rollback
from arot_assets.classifiers.scoring import build_scores
from arot_assets.classifiers.split import make_split
from arot_assets.classifiers.steps import classifier_steps
from arot_assets.classifiers.training import train
from arot_assets.datasets.assets import shard_partitions
from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.places import dataset_root
from arot_assets.datasets.presence import Shards
from arot_assets.datasets.samples import build_samples
from arot_assets.datasets.turns import Unit
from arot_assets.declarations import Declarations, load_declarations
from arot_assets.graph import project_graph
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.conservation import rows_conserved
from arot_assets.metrics.registry import get_metric
from arot_assets.steps import Look
from arot_assets.subsets.load import load_project
from arot_assets.subsets.runner import build_all
from resources.defaults import Resources
from resources.models.entries import add_entry, find_entry
from resources.models.families.head import reference_of_vectors
from resources.tables import TableRef
from tests.classifiers import easy
from tests.clips.conftest import MODELS
from tests.conftest import DATA, EXAMPLES, Dataset
from tests.models import tiny
from tests.subsets.conftest import SQL_FOLDER

QUICK = {"learning_rates": [0.01], "weight_decays": [0.1], "normalise": [False], "min_steps": 40}
"""Of a head that is trained in a second."""
DRAWN: dict[str, Any] = {
    "name": "drawn",
    "dataset": "d",
    "task": "regression",
    "labels": {"from_sql": "select sample_id, (uri like '%/illustration/%')::int as value from d.samples"},
    "settings": QUICK,
    "promote_if": {},
}
"""How much a picture is drawn, learnt from photos and illustrations."""


def declared(folder: Path, **changes: dict[str, Any]) -> Declarations:
    """Datasets ``d`` and ``more`` of pictures and ``films``, and the classifier ``drawn``; some with other fields."""
    every = {
        "d": ("ImageDataset", {"source": str(folder / "d"), "metrics": ["phash", "embedding"]}),
        "more": ("ImageDataset", {"source": str(folder / "more"), "metrics": ["embedding", "drawn"]}),
        "films": ("VideoDataset", {"source": str(folder / "films"), "metrics": ["embedding", "drawn"]}),
        "drawn": ("Classifier", DRAWN),
    }
    for name, (kind, fields) in every.items():
        place = folder / "defs" / name
        place.mkdir(parents=True, exist_ok=True)
        said = {"name": name, **fields, **changes.get(name, {})}
        if "Dataset" in kind:
            said["settle_seconds"] = 0
        text = yaml.safe_dump({"type": f"arot_assets.components.{kind}", "attributes": said})
        (place / "defs.yaml").write_text(text)
    found = load_declarations(folder / "defs")
    found.check_metrics()
    return found


def trained(resources: Resources, one: ClassifierDeclaration) -> str:
    """Train it and let it score, whatever it is worth; its digest."""
    tables = resources.tables
    with resources.warehouse.connect() as con:
        labels = read_labels(con, one, dataset_root(tables, one.dataset))
        hashed = with_hashes(con, one.dataset, labels)
    split = make_split(hashed, hashed["phash"].to_numpy(), hashed["mirrored"].to_numpy(), one.split)
    for file, table in {"labels": labels, "split": split}.items():
        tables.write(table, classifier_file(one.name, f"{file}.parquet"))
    made = train(one, resources).pointer
    now = current(tables, one.name)
    if now is None or now.digest != made.digest:
        promote(tables, one.name, made.digest)
    return made.digest


def scored(resources: Resources, one: ClassifierDeclaration, dataset: str) -> int:
    """Score all shards of a dataset; how many rows were computed."""
    shards = Shards(resources.warehouse, dataset)
    score = partial(build_scores, resources.storage, resources.warehouse, resources.models, one, dataset, shards)
    names = resources.tables.shards(dataset, "samples")
    count = sum(score(Unit.of(dataset, shard, [one.name], "run")).computed for shard in names)
    resources.warehouse.refresh()
    return count


def outdated(resources: Resources, one: ClassifierDeclaration, dataset: str) -> bool:
    """Whether a run would score a dataset."""
    (step,) = [step for step in classifier_steps(one) if step.keys == ((dataset, one.name),)]
    with Look(resources) as look:
        return bool(look.of(step).missing)


def ask(resources: Resources, query: str) -> list[tuple[Any, ...]]:
    """Rows of a query over the catalogue's views."""
    with resources.warehouse.connect() as con:
        return con.execute(query).fetchall()


def clip_scores(resources: Resources, folder: Path) -> list[tuple[Any, ...]]:
    """Of each clip of the films: mean, least and greatest score of its stills."""
    sources = "sources:\n- name: films\n  tables: [{name: samples}, {name: frames}, {name: stills}, {name: drawn}]\n"
    scores = "{{ clip_aggregate(ref('shots_of_films'), source('films', 'drawn'), 'score') }}"
    files = {"dbt_project.yml": "name: small\nprofile: small\n", "models/sources.yml": sources}
    files |= {f"models/{name}.sql": text for name, text in {**MODELS, "scores": f"select * from {scores}"}.items()}
    files["macros/films.sql"] = (SQL_FOLDER / "macros" / "films.sql").read_text()
    for name, text in files.items():
        (folder / "sql" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "sql" / name).write_text(text)
    project = load_project(folder / "sql")
    build_all(project, resources.warehouse, resources.tables)
    resources.warehouse.refresh()
    return ask(resources, "select score_mean, score_min, score_max from main.scores")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of ``d`` and others of ``more``, and two films."""
    for name, of in (("d", slice(0, 16)), ("more", slice(16, 20))):
        for kind in ("photo", "illustration"):
            files = sorted(p for p in (EXAMPLES / kind).rglob("*") if p.suffix in (".jpg", ".png"))[of]
            (tmp_path / name / kind).mkdir(parents=True)
            for file in files:
                shutil.copyfile(file, tmp_path / name / kind / file.name)
    (tmp_path / "films").mkdir()
    for film in ("cuts_jump.mp4", "one_frame.mp4"):
        shutil.copyfile(DATA / "films" / film, tmp_path / "films" / film)
    return tmp_path


def take(resources: Resources, found: Declarations) -> None:
    """Samples, phash and embedding of all three."""
    Dataset(resources, Path(found.dataset("d").source)).run("phash", "embedding")
    Dataset(resources, Path(found.dataset("more").source), "more").run("embedding")
    films, r = found.dataset("films"), resources
    take_inventory(r.storage, r.tables, films, datetime.now(UTC))
    build_samples(r.storage, r.tables, films, "00000")
    build_files(r.storage, r.warehouse, r.models, films, "00000", [get_metric("embedding")])
    r.warehouse.refresh()


def test_promoted_head_scores_pictures_and_stills_elsewhere_and_promotions_are_followed(
    resources: Resources, folder: Path
) -> None:
    found = declared(folder)
    one, tables = found.of(ClassifierDeclaration)["drawn"], resources.tables
    take(resources, found)
    assert scored(resources, one, "more") == 8, "without a model, rows that say so"
    assert {row["reason"] for row in tables.read(TableRef("more", "drawn", "00000")).to_pylist()} == {
        "no promoted model: none was trained"
    }
    first = trained(resources, one)
    for dataset in ("d", "more", "films"):
        assert outdated(resources, one, dataset)
        assert scored(resources, one, dataset) > 0 and not outdated(resources, one, dataset)
        assert rows_conserved(resources.warehouse, dataset, "drawn", several=dataset == "films").holds
    ((rows, right),) = ask(
        resources,
        "select count(*), sum(((uri like '%/illustration/%') = (score > 0.5))::int) from more.samples "
        "join more.drawn using (sample_id) where drawn.status = 'ok'",
    )
    assert rows == 8 and right >= 6
    stills = ask(
        resources,
        "select e.vector, s.score from films.embedding e join films.drawn s using (sample_id, n) order by all",
    )
    assert len(stills) == ask(resources, "select count(*) from films.embedding")[0][0] > 2
    entry = find_entry("drawn")
    weights = Path(tables.uri(classifier_file("drawn", first)))
    expected = reference_of_vectors(entry, weights)(np.array([v for v, _ in stills], np.float32))[:, 0]
    np.testing.assert_allclose([score for _, score in stills], expected, atol=1e-4)

    clips = clip_scores(resources, folder)
    scores = [score for _, score in stills]
    assert len(clips) > 1 and all(low <= mean <= high for mean, low, high in clips)
    assert (min(low for _, low, _ in clips), max(high for *_, high in clips)) == (min(scores), max(scores))

    other = one.model_copy(update={"settings": {**QUICK, "weight_decays": [0.5]}})
    second = trained(resources, other)
    assert second != first and outdated(resources, other, "more") and outdated(resources, other, "films")
    scored(resources, other, "more")
    rollback(tables, "drawn")
    assert outdated(resources, other, "more") and scored(resources, other, "more") == 8
    assert not outdated(resources, other, "more")


def test_model_of_images_scores_stills_of_films(resources: Resources, folder: Path) -> None:
    (folder / "base").mkdir()
    tiny.timm_convnext(folder / "base")
    add_entry(easy.entry("timm", folder / "base"))
    tuned = {
        "inputs": "pixels",
        "backbone": "base",
        "recipe": "convnext-finetune",
        "settings": {"epochs": 1, "batch_size": 16, "tracker": "none", "ema": 0.0},
    }
    found = declared(folder, drawn=tuned, more={"metrics": ["drawn"]}, films={"metrics": ["drawn", "embedding"]})
    one = found.of(ClassifierDeclaration)["drawn"]
    take(resources, found)
    scored(resources, one, "films")
    trained(resources, one)
    for dataset in ("more", "films"):
        assert scored(resources, one, dataset) > 0 and not outdated(resources, one, dataset)
        assert rows_conserved(resources.warehouse, dataset, "drawn", several=dataset == "films").holds
    places = "select sample_id, n, pts from films.{} where status = 'ok' order by all"
    assert ask(resources, places.format("drawn")) == ask(resources, places.format("embedding"))


def test_what_a_dataset_lacks_is_said_with_the_line_to_write(folder: Path) -> None:
    found = declared(folder, more={"metrics": ["phash", "drawn"]})
    assert list(found.of(ClassifierDeclaration)["drawn"].elsewhere) == ["films"]
    (line,) = found.problems()
    assert "more/defs.yaml:" in line and "'drawn' scores from embedding, which 'more' has not; write" in line
    assert "`metrics: [phash, embedding, drawn]`" in line
    assert found.dataset("more").metrics == ["phash"], "all else is computed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"more": {"metrics": ["drawm"]}}, "no metric 'drawm'. Did you mean 'drawn'?"),
        (
            {"d": {"metrics": ["phash", "embedding", "drawn"]}},
            "which has its scores anyway; remove it from the metrics",
        ),
        ({"drawn": {"promote_if": {"beauty": 1}}}, "unknown figure 'beauty'"),
        ({"drawn": {"labels": {"pairs": "team"}}}, "no ratings 'team' are declared"),
        ({"d": {"metrics": ["phash"]}}, "'drawn' needs the metric 'embedding': add it to the metrics of 'd'"),
    ],
)
def test_faults_are_one_line_each(folder: Path, changes: dict[str, Any], message: str) -> None:
    (line,) = declared(folder, **changes).problems()
    assert message in line


def test_steps_assets_and_checks_of_other_datasets_agree(folder: Path) -> None:
    (folder / "sql").mkdir()
    (folder / "sql" / "dbt_project.yml").write_text("name: none\n")
    found = declared(folder)
    one = found.of(ClassifierDeclaration)["drawn"]
    graph = project_graph(found, load_project(folder / "sql"))
    made = {key for asset in classifier_assets(one, shard_partitions("d")) for key in asset.keys}
    wanted = {("d", "drawn"), ("more", "drawn"), ("films", "drawn")}
    assert {tuple(key.path) for key in made if key.path[0] != "classifiers"} == wanted
    checked = {tuple(key.asset_key.path) for check in classifier_checks(one) for key in check.check_keys}
    assert checked >= wanted
    assert wanted <= {key for step in graph for key in step.keys}
    assert ("classifiers", "drawn", "model") in {key for step in graph.of_dataset("more") for key in step.keys}
    assert "drawn" in found.tables_of("more")
