"""What is published takes its words, its feature and its file names from the medium of the datasets it is made from."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml

from arot_assets.datasets import places
from arot_assets.exports.card import FRONT
from arot_assets.exports.declaration import HubDatasetDeclaration
from arot_assets.exports.errors import ExportError
from arot_assets.exports.publish import preview, publish
from arot_assets.media.media import MEDIA
from arot_assets.report.answers import ask
from arot_assets.report.questions import questions_of
from arot_assets.report.text import lines
from arot_assets.subsets.load import load_project
from arot_assets.subsets.runner import build_all
from resources.defaults import Resources
from tests.conftest import Dataset
from tests.media.flipbooks import FLIPBOOKS, Books, make_animations
from tests.servers.hub import Hub

SUBSET = """{{ config(tags=['subset']) }}
select sample_id, width from {{ source('books', 'samples') }} as samples where samples.status = 'ok'
"""
MIXED = SUBSET.replace(
    " where samples.status = 'ok'",
    " where samples.status = 'ok' and not exists (select 1 from {{ source('d', 'samples') }} as s where s.sample_id = samples.sample_id)",
)
SOURCES = "sources:\n  - {name: books, tables: [{name: samples}]}\n  - {name: d, tables: [{name: samples}]}\n"


@pytest.fixture
def books(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Books:
    """Animations beside a dataset of images in one store."""
    monkeypatch.setattr(places, "MEDIA", {**MEDIA, "flipbook": FLIPBOOKS})
    dataset.inventory()
    dataset.samples()
    books = Books(dataset.resources, str(make_animations(tmp_path / "books")))
    books.run()
    dataset.resources.warehouse.refresh()
    return books


def project(folder: Path, resources: Resources, sql: str) -> tuple[HubDatasetDeclaration, object]:
    (folder / "models").mkdir(parents=True)
    (folder / "dbt_project.yml").write_text("name: small\nprofile: small\n")
    (folder / "models" / "sources.yml").write_text(SOURCES)
    (folder / "models" / "moving.sql").write_text(sql)
    loaded = load_project(folder)
    build_all(loaded, resources.warehouse, resources.tables)
    fields = {"name": "books", "subset": "moving", "repo": "owner/books", "license": "cc-by-4.0"}
    return HubDatasetDeclaration.model_validate(fields), loaded


@pytest.mark.parametrize("layout", ["parquet", "folder"])
def test_files_are_published_as_their_medium_says(books: Books, tmp_path: Path, hub: Hub, layout: str) -> None:
    declared, loaded = project(tmp_path / "project", books.resources, SUBSET)
    declaration = declared.model_copy(update={"layout": layout})
    with hub.as_default(tmp_path / "home", hub.token):
        assert preview(declaration, loaded, books.resources).columns[0] == "flipbook"  # type: ignore[arg-type]
        done = publish(declaration, loaded, books.resources)  # type: ignore[arg-type]
        again = publish(declaration, loaded, books.resources)  # type: ignore[arg-type]
    assert done.rows == 2 and len(done.posters) == 2 and not again.changed
    repository = hub.repositories["dataset", "owner/books"]
    committed = repository.commits[repository.branches["main"]].files
    files = {path: hub.contents.read(file) for path, file in committed.items()}
    front = yaml.safe_load(FRONT.match(files["README.md"].decode())[1])  # type: ignore[index]
    assert front["dataset_info"]["features"][0] == {"name": "flipbook", "dtype": "video"}
    assert "bytes of flipbooks" in files["README.md"].decode()
    originals = {path.read_bytes() for path in (tmp_path / "books").glob("?.gif")}
    if layout == "folder":
        assert {data for path, data in files.items() if path.endswith(".gif")} == originals
        return
    (name,) = (path for path in files if path.endswith(".parquet"))
    (tmp_path / "part.parquet").write_bytes(files[name])
    table = pq.read_table(tmp_path / "part.parquet")
    features = json.loads(table.schema.metadata[b"huggingface"])["info"]["features"]
    assert features["flipbook"] == {"_type": "Video"}
    assert {row["bytes"] for row in table["flipbook"].to_pylist()} == originals
    assert all(row["path"].endswith(".gif") for row in table["flipbook"].to_pylist())


def test_a_published_dataset_holds_one_medium(books: Books, tmp_path: Path, hub: Hub) -> None:
    declaration, loaded = project(tmp_path / "project", books.resources, MIXED)
    with (
        hub.as_default(tmp_path / "home", hub.token),
        pytest.raises(ExportError, match=r"reads flipbooks .books. and images .d."),
    ):
        preview(declaration, loaded, books.resources)  # type: ignore[arg-type]


def test_a_report_asks_what_the_medium_asks(books: Books) -> None:
    with books.resources.warehouse.connect() as con:
        report = ask(con, books.resources.tables, "books", questions_of(FLIPBOOKS))
    titles = {item.question.name: (item.question.title, item.rows) for item in report.asked}
    assert titles["broken"] == ("files that are not usable flipbooks", 1)
    assert titles["short"] == ("flipbooks of a single frame", 0)
    assert not {"dark", "tiny"} & set(titles)
    assert "files that are not usable flipbooks" in "\n".join(lines(report))
