"""A dataset of real photos with a built subset, and a Hub to publish it to."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.publish import PublishResult, publish
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all
from resources.defaults import Resources
from resources.storage.hub import client as hub_client
from tests.conftest import Dataset
from tests.servers.hub import Hub
from tests.servers.hub_repositories import Repository

REPO = "owner/photos"
SUBSET = """{{ config(tags=['subset']) }}
select samples.sample_id, samples.uri, samples.width, cv2.brightness, samples.generation
from {{ source('d', 'samples') }} as samples
left join {{ source('d', 'cv2') }} as cv2 using (sample_id)
where samples.status = 'ok'  -- decodable
    and cv2.brightness >= {{ var('least') }}  -- not dark
"""
SOURCES = "sources:\n  - name: d\n    tables: [{name: samples}, {name: cv2}, {name: wide}]\n"
SCHEMA = "models:\n  - name: bright\n    columns:\n      - {name: width, description: 'pixels | upright'}\n"


class Exporter:
    """A subset of twelve photos, and what publishes it.

    Attributes:
        dataset: the photos.
        folder: of the SQL project; its model ``bright`` is the subset.
    """

    def __init__(self, dataset: Dataset, folder: Path, hub: Hub) -> None:
        self.dataset, self.folder, self.hub = dataset, folder, hub
        self.resources: Resources = dataset.resources
        (folder / "models").mkdir(parents=True)
        (folder / "models" / "sources.yml").write_text(SOURCES)
        (folder / "models" / "schema.yml").write_text(SCHEMA)
        self.select(SUBSET)

    def select(self, sql: str, least: float = 0) -> None:
        """Make this the subset, and build it."""
        (self.folder / "dbt_project.yml").write_text(f"name: small\nprofile: small\nvars:\n  least: {least}\n")
        (self.folder / "models" / "bright.sql").write_text(sql)
        build_all(self.project, self.resources.warehouse, self.resources.tables)

    @property
    def project(self) -> Project:
        """The SQL project as it is now."""
        return load_project(self.folder)

    def declaration(self, **fields: Any) -> HubDatasetDeclaration:
        """The export ``photos`` with other fields."""
        given = {"name": "photos", "subset": "bright", "repo": REPO, "license": "cc-by-4.0"}
        return HubDatasetDeclaration.model_validate(given | fields)

    def publish(self, **fields: Any) -> PublishResult:
        """Publish it."""
        return publish(self.declaration(**fields), self.project, self.resources)

    @property
    def repository(self) -> Repository:
        """What the Hub has."""
        return self.hub.repositories["dataset", REPO]

    def files(self, branch: str = "main") -> dict[str, bytes]:
        """Path -> content of the branch's newest commit."""
        files = self.repository.commits[self.repository.branches[branch]].files
        return {path: self.hub.contents.read(file) for path, file in files.items()}

    def commits(self) -> int:
        """Commits of the repository, the one that made it included."""
        return len(self.repository.commits)

    def download(self, folder: Path) -> Path:
        """A copy of the newest commit's files."""
        for path, data in self.files().items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        return folder

    def originals(self) -> dict[str, bytes]:
        """sample_id -> bytes of the source, of the rows of the subset."""
        rows = self.dataset.sql("select sample_id, s.uri from bright join d.samples s using (sample_id)")
        return {sample_id: Path(uri).read_bytes() for sample_id, uri in rows}


@pytest.fixture
def exporter(dataset: Dataset, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exporter]:
    """The subset ``bright`` of all twelve photos, and the Hub with its owner's token."""
    monkeypatch.setattr(hub_client, "FIRST_WAIT_SECONDS", 0.0)
    dataset.run("cv2")
    with hub.as_default(tmp_path / "home", hub.token):
        yield Exporter(dataset, tmp_path / "project", hub)


@pytest.fixture
def remove_one(exporter: Exporter) -> Callable[[], str]:
    """Deletes one photo of the subset from the source behind the tables' back; returns its sample_id."""

    def remove() -> str:
        ((sample_id, uri),) = exporter.dataset.sql(
            "select sample_id, s.uri from bright join d.samples s using (sample_id) order by 1 limit 1"
        )
        Path(uri).unlink()
        return str(sample_id)

    return remove
