"""Two `arot run` of one dataset in one store at once, from two projects with records of their own, as on two machines."""

from pathlib import Path

import pytest

from arot_assets.project import init_project
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from tests.end_to_end.conftest import Project
from tests.servers.swift import Swift
from tests.waiting import finish

METRIC = '''"""Metric ``noted``: notes each image that it measures in a file."""

from arot_assets.media.image.view import Image
from arot_assets.metrics.metric import Column, Row, image_metric


@image_metric(version="1", columns=[Column("pixels", int, "width times height", 0)])
def noted(image: Image) -> Row:
    """Width times height."""
    with open({file!r}, "a") as file:
        file.write("x")
    height, width, _ = image.rgb.shape
    return {{"pixels": height * width}}
'''
SHOWN = "columns(c -> c not in ('computed_at', 'ingested_at', 'uri', 'duplicate_of'))"


class Bare(Project):
    """A project with one dataset and nothing else."""

    def lay_out(self) -> None:
        """What `arot init` writes, and the metric."""
        init_project(self.root)
        (self.root / "metrics").mkdir(exist_ok=True)
        (self.root / "metrics" / "noted.py").write_text(METRIC.format(file=str(self.measured)))

    @property
    def measured(self) -> Path:
        """A byte for each image that was measured."""
        return self.root.parent / "measured"


def rows(store: str) -> dict[str, list[tuple[object, ...]]]:
    """Every row of the dataset's tables, without times and places."""
    tables = Tables(Storage(), store)
    with Warehouse(tables).connect() as con:
        return {t: con.execute(f"select {SHOWN} from demo.{t} order by all").fetchall() for t in ("samples", "noted")}


@pytest.mark.parametrize("place", ["disk", "swift"])
def test_two_runs_at_once_share_the_shards_and_make_the_tables_of_one(
    place: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(tmp_path / "store")
    if place == "swift":
        server: Swift = request.getfixturevalue("swift")
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        store = f"s3://{request.getfixturevalue('bucket')}/lake"
    projects = [Bare(tmp_path / name) for name in ("one", "two", "alone")]
    pictures = projects[0].add_examples(6)
    for project in projects:
        project.declare_dataset("demo", source=str(projects[0].source), metrics=["noted"], shard_size=3)
    both = [project.start("run", "demo", AROT_STORE=store) for project in projects[:2]]
    told = [finish(process) for process in both]
    assert [process.returncode for process in both] == [0, 0], told
    assert projects[0].measured.stat().st_size == len(pictures), "each shard was computed once"
    assert Tables(Storage(), store).list("leases") == []
    if place == "disk":
        projects[2].arot("run", "demo", AROT_STORE=str(tmp_path / "calm"))
        assert rows(store) == rows(str(tmp_path / "calm"))
