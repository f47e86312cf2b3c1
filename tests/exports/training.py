"""A store with a subset of real photos, and exports of it; shared by the tests of exports on disk."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from arot_assets.exports.build import Outcome, export
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.versions import RECEIPT, Receipt
from arot_assets.subsets.load import load_project
from arot_assets.subsets.project import Project
from arot_assets.subsets.runner import build_all
from resources.compute import Compute, Local
from tests.conftest import Dataset

SUBSET = """{{ config(tags=['subset']) }}
select samples.sample_id, samples.uri, samples.bytes as size, coalesce(samples.caption, 'a photo of ' || samples.sample_id) as caption
from {{ source('d', 'samples') }} as samples
where samples.status = 'ok'  -- decodable
"""
SOURCES = "sources:\n  - name: d\n    tables: [{name: samples}, {name: wide}]\n"


class Training:
    """A dataset, a SQL project with the subset ``chosen``, and exports of it.

    Attributes:
        dataset: the samples.
        folder: of the SQL project.
    """

    def __init__(self, dataset: Dataset, folder: Path) -> None:
        self.dataset, self.folder = dataset, folder
        self.resources = dataset.resources
        (folder / "models").mkdir(parents=True)
        (folder / "dbt_project.yml").write_text("name: small\nprofile: small\n")
        (folder / "models" / "sources.yml").write_text(SOURCES)
        self.select(SUBSET)

    def select(self, sql: str, name: str = "chosen") -> None:
        """Make this the subset, and build it."""
        (self.folder / "models" / f"{name}.sql").write_text(sql)
        build_all(self.project, self.resources.warehouse, self.resources.tables)

    def update(self) -> None:
        """Take the source as it is now."""
        self.dataset.run()
        build_all(self.project, self.resources.warehouse, self.resources.tables)

    @property
    def project(self) -> Project:
        """The SQL project as it is now."""
        return load_project(self.folder)

    def declaration(self, **fields: Any) -> ExportDeclaration:
        """The export ``train`` with other fields."""
        return ExportDeclaration.model_validate({"name": "train", "subset": "chosen"} | fields)

    def export(self, compute: Compute | None = None, /, **fields: Any) -> Outcome:
        """Export it, by an engine if there is one."""
        resources = replace(self.resources, compute=compute or Local())
        return export(self.declaration(**fields), self.project, resources)

    def export_anew(self, compute: Compute, /, **fields: Any) -> Outcome:
        """The same, as if nothing had been exported before."""
        shutil.rmtree(Path(self.resources.tables.root) / "exports", ignore_errors=True)
        return self.export(compute, **fields)

    def rows(self) -> dict[str, tuple[str, str]]:
        """sample_id -> uri and caption of the subset."""
        return {i: (u, c) for i, u, c in self.dataset.sql("select sample_id, uri, caption from chosen")}


def place(outcome: Outcome) -> Path:
    """The folder of the version that is current."""
    return Path(outcome.receipt.place)


def tree(folder: Path) -> dict[str, bytes]:
    """Path -> content of every file below a folder."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def receipt_of(done: Outcome) -> Receipt:
    """What a version is, without when and where it was made."""
    return replace(done.receipt, made_at="", place="")


def files_of(done: Outcome) -> dict[str, bytes]:
    """Media, captions, configurations and records of a version; its receipt says where and when it was made."""
    return {path: data for path, data in tree(place(done)).items() if path != RECEIPT}
