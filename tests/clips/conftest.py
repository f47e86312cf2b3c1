"""Films that are decoded, a SQL project that finds their clips, and these clips as a dataset of their own."""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from arot_assets.clips.dataset import cut_dataset
from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.declarations import Clips, Dataset, VideoDataset
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.registry import get_metric
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all
from resources.defaults import default_resources
from resources.tables import TableRef
from tests.conftest import DATA
from tests.subsets.conftest import SQL_FOLDER

FILMS = ("cuts_jump.mp4", "opengop_b.mp4")
CLIPS = 9
"""That they have."""
SOURCES = """sources:
- name: films
  tables: [{name: samples}, {name: frames}, {name: steps}, {name: stills}, {name: decoded}]
- name: clips
  tables: [{name: samples}, {name: cut}, {name: stills}]
"""
MODELS = {
    "bounds": "select * from {{ boundaries(source('films', 'frames'), source('films', 'samples')) }}",
    "shots_of_films": "select * from {{ shots(ref('bounds'), source('films', 'frames'), source('films', 'samples')) }}",
}


class ClipsOfFilms:
    """A store with the datasets ``films`` and ``clips``, and a project; worked on without Dagster."""

    def __init__(self, place: Path, source: Path) -> None:
        self.place, self.resources = place, default_resources()
        self.films = VideoDataset.model_validate({"name": "films", "source": str(source), "settle_seconds": 0})
        self.declare()

    def declare(self, **fields: Any) -> None:
        """Declare the clips with other fields."""
        given = {"name": "clips", "model": "shots_of_films", "films": "films", "metrics": ["phash"], **fields}
        self.clips = Clips.model_validate(given)

    def take(self, declaration: Dataset) -> None:
        """Inventory, samples, and one decode of each file that has not been decoded."""
        r = self.resources
        take_inventory(r.storage, r.tables, declaration, datetime.now(UTC))
        metrics = [get_metric(name) for name in declaration.metrics]
        for shard in sorted(set(r.tables.read(TableRef(declaration.name, "inventory"))["shard"].to_pylist())):
            build_samples(r.storage, r.tables, declaration, shard)
            build_files(r.storage, r.warehouse, r.models, declaration, shard, metrics)
        r.warehouse.refresh()

    def build(self, models: Mapping[str, str] | None = None, variables: str = "") -> Project:
        """Build the SQL project, with further models."""
        folder = self.place / "project"
        shutil.rmtree(folder, ignore_errors=True)
        files = {"dbt_project.yml": f"name: small\nprofile: small\n{variables}", "models/sources.yml": SOURCES}
        files |= {f"models/{name}.sql": text for name, text in {**MODELS, **(models or {})}.items()}
        files["macros/films.sql"] = (SQL_FOLDER / "macros" / "films.sql").read_text()
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        project = load_project(folder)
        assert not project.broken
        build_all(project, self.resources.warehouse, self.resources.tables)
        self.resources.warehouse.refresh()
        return project

    def cut(self) -> list[dict[str, Any]]:
        """Cut the clips; the rows of ``clips.cut``."""
        rows: list[dict[str, Any]] = cut_dataset(self.resources, self.clips).to_pylist()
        self.resources.warehouse.refresh()
        return rows

    def files(self) -> dict[str, int]:
        """Name -> time of the last writing of each clip."""
        return {p.name: p.stat().st_mtime_ns for p in Path(self.clips.source).glob("*.mp4")}

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        with self.resources.warehouse.connect() as con:
            return con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def decoded_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of ``films``, decoded and with its models, from which each test starts."""
    place = tmp_path_factory.mktemp("clips")
    source = place / "films"
    source.mkdir()
    for name in FILMS:
        shutil.copyfile(DATA / "films" / name, source / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AROT_STORE", str(place / "store"))
        found = ClipsOfFilms(place, source)
        found.take(found.films)
        found.build()
    return place


@pytest.fixture
def of_films(decoded_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipsOfFilms:
    """A store in which the films are decoded and their shots known, and no clip is cut yet."""
    shutil.copytree(decoded_store / "store", tmp_path / "store")
    monkeypatch.setenv("AROT_STORE", str(tmp_path / "store"))
    found = ClipsOfFilms(tmp_path, decoded_store / "films")
    found.resources.warehouse.refresh()
    return found
