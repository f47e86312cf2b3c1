"""Searching by image compares every stored vector, exactly, and shows what is there now."""

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner

from arot_assets.cli.main import main
from arot_assets.local_paths import LocalPaths
from arot_assets.metrics.nearest import Query, nearest, similarities
from arot_assets.report.similar import SearchError, chosen_table, query_of_image, search, similar_page
from resources.tables import TableRef, Tables
from tests.conftest import EXAMPLES, Dataset

DIMENSIONS = 24


def write_vectors(tables: Tables, table: str, shards: dict[str, tuple[list[str], np.ndarray, str]]) -> None:
    """Shards of stored vectors: samples, float16 vectors, version."""
    for shard, (ids, vectors, version) in shards.items():
        columns = {
            "sample_id": ids,
            "status": pa.array(["ok"] * len(ids)),
            "metric_version": pa.array([version] * len(ids)),
            "vector": pa.array(list(vectors.astype(np.float16)), pa.list_(pa.float16(), DIMENSIONS)),
        }
        tables.write(pa.table(columns), TableRef("d", table, shard))


def test_nearest_are_those_of_a_full_comparison(dataset: Dataset) -> None:
    rng = np.random.default_rng(0)
    parts = {
        f"{k:05d}": ([f"{k}-{n:04d}" for n in range(5000)], rng.normal(size=(5000, DIMENSIONS)), "v") for k in range(3)
    }
    parts["00001"][1][7] = 0  # a vector of zeros is like nothing
    write_vectors(dataset.resources.tables, "e", parts)
    ids = [i for part in parts.values() for i in part[0]]
    stored = np.concatenate([part[1].astype(np.float16) for part in parts.values()]).astype(np.float64)
    query = rng.normal(size=DIMENSIONS).astype(np.float32)
    cosines = stored @ query / np.maximum(np.linalg.norm(stored, axis=1), 1e-9) / np.linalg.norm(query)
    expected = [ids[k] for k in np.argsort(-cosines)[:50]]
    found = nearest(dataset.resources.tables, "d", "e", Query(query, ["v"], [expected[0]]), 49)
    assert [sample for sample, _ in found.matches] == expected[1:]
    np.testing.assert_allclose([s for _, s in found.matches], np.sort(cosines)[::-1][1:50], atol=1e-5)
    assert (found.compared, found.skipped) == (15_000, 0)


def test_vectors_of_another_model_are_not_compared(dataset: Dataset) -> None:
    vectors = np.ones((3, DIMENSIONS))
    parts = {"00000": (["a", "b", "c"], vectors, "old"), "00001": (["a", "d", "e"], vectors, "new")}
    write_vectors(dataset.resources.tables, "e", parts)
    found = nearest(dataset.resources.tables, "d", "e", Query(np.ones(DIMENSIONS, np.float32), ["new"]), 9)
    assert [s for s, _ in found.matches] == ["a", "d", "e"] and (found.compared, found.skipped) == (3, 3)
    both = nearest(dataset.resources.tables, "d", "e", Query(np.ones(DIMENSIONS, np.float32), ["new", "old"]), 9)
    assert [s for s, _ in both.matches] == ["a", "b", "c", "d", "e"], "each sample once"
    with pytest.raises(ValueError, match="the query has 2 dimensions, and the stored vectors have 24"):
        similarities(vectors, np.ones(2, np.float32))


def test_sample_finds_its_smaller_copy_first_without_a_decode(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from PIL import Image

    first = sorted(dataset.source.rglob("*.jpg"))[3]
    with Image.open(first) as picture:
        picture.resize((picture.width // 2, picture.height // 2)).save(dataset.source / "smaller.png")
    dataset.run("embedding")
    resources = dataset.resources
    monkeypatch.setattr("arot_assets.media.image.decode.decode", None)
    found, answer = search(resources, "d", "embedding", query_of_image(resources, "d", "embedding", str(first)), 5)
    assert found[0].uri.endswith("smaller.png") and found[0].similarity > 0.95 and answer.compared == 13
    monkeypatch.undo()
    elsewhere = tmp_path / "elsewhere.png"
    shutil.copyfile(dataset.source / "smaller.png", elsewhere)
    (dataset.source / "smaller.png").unlink()
    dataset.run("embedding")
    found, _ = search(resources, "d", "embedding", query_of_image(resources, "d", "embedding", str(elsewhere)), 12)
    assert found[0].uri == str(first) and len(found) == 12, "what left the source is not shown"


def test_image_that_is_no_sample_is_computed(dataset: Dataset) -> None:
    dataset.run("embedding")
    other = sorted((EXAMPLES / "photo" / "sea").glob("*.jpg"))[6]
    query = query_of_image(dataset.resources, "d", "embedding", str(other))
    found, _ = search(dataset.resources, "d", "embedding", query, 3)
    assert len(found) == 3 and found[0].similarity >= found[1].similarity >= found[2].similarity
    page = similar_page("like <b>", found, lambda example: b"jpeg", LocalPaths([str(dataset.source)]))
    assert page.count("<figure") == 3 and "like &lt;b&gt;" in page and str(dataset.source) not in page


def test_table_that_cannot_be_searched_says_what_to_do(dataset: Dataset) -> None:
    dataset.run("phash")
    with pytest.raises(
        SearchError, match="has no stored embeddings: add `embedding` to its metrics, then `arot run d`"
    ):
        chosen_table(dataset.resources, "d", None)
    with pytest.raises(SearchError, match="'d' has no embeddings 'clip'; there are: none"):
        chosen_table(dataset.resources, "d", "clip")


def test_command_prints_and_writes_a_page(dataset: Dataset, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    dataset.run("embedding")
    monkeypatch.setenv("AROT_STORE", dataset.resources.tables.root)
    picture, page = sorted(dataset.source.rglob("*.jpg"))[0], tmp_path / "found.html"
    said = CliRunner().invoke(main, ["search", "d", "--like", str(picture), "--top", "4", "--out", str(page)])
    assert said.exit_code == 0, said.output
    assert "12 vectors of d.embedding compared" in said.output and page.read_text().count("data:image/jpeg") == 4
