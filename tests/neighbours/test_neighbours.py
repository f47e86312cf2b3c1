"""Neighbours and clusters: exact, the same from what changed as from all, and made again only when something changed."""

import shutil
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest

from arot_assets.declarations.kinds.neighbours import KIND
from arot_assets.neighbours.build import NeighboursError, build_neighbours
from arot_assets.neighbours.clusters import find_centres, nearest_centre
from arot_assets.neighbours.declaration import NeighboursDeclaration
from arot_assets.neighbours.search import NONE, Near, nearest, prepared, updated
from arot_assets.neighbours.steps import neighbours_state
from arot_assets.steps import Look
from resources.dagster import dagster_resources
from resources.tables import TableRef
from tests.conftest import EXAMPLES, Dataset
from tests.engines import Watched, told


def declared(**fields: object) -> NeighboursDeclaration:
    """Neighbours of ``d`` by its ImageNet features."""
    said = {"name": "near", "dataset": "d", "embedding": "embedding.vector", "k": 3}
    return NeighboursDeclaration.model_validate(said | fields)


def brute_force(vectors: np.ndarray, k: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """All distances in float64, sorted."""
    wide = vectors.astype(np.float64)
    if metric == "cosine":
        unit = wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), 1e-30)
        apart = 1 - unit @ unit.T
    else:
        apart = np.linalg.norm(wide[:, None] - wide[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    order = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(apart, order, 1)


@pytest.fixture
def blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks so small that a test has several."""
    monkeypatch.setattr("arot_assets.neighbours.search.QUERIES", 64)
    monkeypatch.setattr("arot_assets.neighbours.search.OTHERS", 100)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_are_those_of_all_distances(metric: Any, blocks: None) -> None:
    vectors = np.random.default_rng(0).normal(size=(450, 24)).astype(np.float16)
    every = np.arange(len(vectors))
    found = nearest(prepared(vectors, metric), every, every, 7, metric)
    places, apart = brute_force(vectors, 7, metric)
    assert (found.places == places).all()
    np.testing.assert_allclose(found.distances, apart, atol=2e-3 if metric == "euclidean" else 1e-6)


def test_fewer_vectors_than_neighbours_and_vectors_of_zeros() -> None:
    vectors = prepared(np.array([[1, 0], [1, 0], [0, 0]], np.float32), "cosine")
    found = nearest(vectors, np.arange(3), np.arange(3), 4, "cosine")
    assert found.places.tolist() == [[1, 2, NONE, NONE], [0, 2, NONE, NONE], [0, 1, NONE, NONE]]
    assert found.distances[0, :2].tolist() == [0, 1]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_what_changed_alone_gives_what_all_gives(metric: Any, blocks: None) -> None:
    random = np.random.default_rng(1)
    old = random.normal(size=(300, 16)).astype(np.float32)
    every = np.arange(300)
    first = nearest(prepared(old, metric), every, every, 5, metric)
    # 40 leave, 30 change, 60 come
    stay = np.sort(random.choice(300, 260, replace=False))
    now = np.concatenate([old[stay], random.normal(size=(60, 16)).astype(np.float32)])
    fresh = np.zeros(320, bool)
    fresh[260:] = True
    changed = random.choice(260, 30, replace=False)
    now[changed] += 1
    fresh[changed] = True
    place = np.full(300, NONE)
    place[stay[~fresh[:260]]] = np.flatnonzero(~fresh[:260])
    before = Near(np.full((320, 5), NONE), np.full((320, 5), np.inf, np.float32))
    rows = np.flatnonzero(~fresh[:260])
    before.places[rows], before.distances[rows] = place[first.places[stay[rows]]], first.distances[stay[rows]]
    found = updated(prepared(now, metric), before, fresh, 5, metric)
    whole = nearest(prepared(now, metric), np.arange(320), np.arange(320), 5, metric)
    assert (found.places == whole.places).all()
    np.testing.assert_allclose(found.distances, whole.distances, atol=1e-6)


def test_clusters_are_the_clumps_that_are_there_and_the_largest_is_the_first() -> None:
    random = np.random.default_rng(2)
    sizes, middles = (60, 30, 10), np.eye(3, 8) * 5
    vectors = np.concatenate([m + random.normal(scale=0.1, size=(n, 8)) for n, m in zip(sizes, middles, strict=True)])
    unit = prepared(vectors.astype(np.float32), "cosine")
    place, apart = nearest_centre(unit, find_centres(unit, 3, "cosine"), "cosine")
    assert place.tolist() == [0] * 60 + [1] * 30 + [2] * 10
    assert apart.min() >= 0 and apart.max() < 0.05


@pytest.fixture
def embedded(dataset: Dataset) -> Dataset:
    """Twelve photos with embeddings."""
    dataset.run("embedding")
    return dataset


def by_hand(dataset: Dataset) -> dict[str, list[str]]:
    """Sample -> its three neighbours, computed here."""
    rows = dataset.sql("select sample_id, vector from d.embedding where status = 'ok' order by 1")
    places, _ = brute_force(np.array([v for _, v in rows], np.float32), 3, "cosine")
    return {rows[n][0]: [rows[m][0] for m in places[n]] for n in range(len(rows))}


def stored(dataset: Dataset) -> dict[str, list[str]]:
    return {
        s: [n["sample_id"] for n in found]
        for s, found in dataset.sql("select sample_id, neighbours from d.near where status = 'ok'")
    }


def is_current(dataset: Dataset, declaration: NeighboursDeclaration) -> bool:
    with Look(dataset.resources) as look:
        return neighbours_state(look, declaration).current


def test_table_follows_samples_that_come_leave_and_move(embedded: Dataset) -> None:
    declaration = declared(clusters=3)
    made = build_neighbours(declaration, embedded.resources)
    assert (made.rows, made.compared, made.kept, made.clusters, made.fitted) == (12, 12, 0, 3, True)
    assert is_current(embedded, declaration)
    assert stored(embedded) == by_hand(embedded)
    ((joined, nulls),) = embedded.sql(
        "select count(near__nearest_distance), count(*) filter (near__cluster is null) from d.wide"
    )
    assert (joined, nulls) == (12, 0)
    before = dict(embedded.sql("select sample_id, cluster from d.near"))

    more = sorted((EXAMPLES / "photo" / "sea").glob("*.jpg"))[4:6]
    for picture in more:
        shutil.copyfile(picture, embedded.source / picture.name)
    gone = next(embedded.source.rglob("city/*.jpg"))
    gone.unlink()
    moved = next(embedded.source.rglob("mountain/*.jpg"))
    moved.rename(moved.with_name("moved.jpg"))
    assert is_current(embedded, declaration), "nothing was listed yet"
    embedded.run("embedding")
    assert not is_current(embedded, declaration)
    made = build_neighbours(declaration, embedded.resources)
    assert (made.rows, made.compared, made.kept, made.fitted) == (13, 2, 11, False)
    assert stored(embedded) == by_hand(embedded)
    after = dict(embedded.sql("select sample_id, cluster from d.near"))
    assert all(after[s] == cluster for s, cluster in before.items() if s in after), "clusters stay what they were"

    times = embedded.sql("select sample_id, computed_at from d.near order by 1")
    build_neighbours(declaration, embedded.resources)
    assert embedded.sql("select sample_id, computed_at from d.near order by 1") == times


def test_other_settings_and_other_vectors_are_another_version(embedded: Dataset) -> None:
    declaration = declared()
    build_neighbours(declaration, embedded.resources)
    assert not is_current(embedded, declared(k=2))
    assert not is_current(embedded, declared(metric="euclidean"))
    versions = set(embedded.sql("select metric_version from d.near"))
    tables = embedded.resources.tables
    for shard in tables.shards("d", "embedding"):  # as another model would leave them
        ref = TableRef("d", "embedding", shard)
        table, footer = tables.read(ref), tables.footer(ref)
        other = pa.array(["other"] * table.num_rows)
        place = table.schema.get_field_index("metric_version")
        table = table.set_column(place, table.schema.field(place), other)
        tables.write(table, ref, footer | {"metric_version": "other"})
    assert not is_current(embedded, declaration)
    assert build_neighbours(declaration, embedded.resources).compared == 12
    assert not versions & set(embedded.sql("select metric_version from d.near"))


def test_sample_without_a_vector_is_a_failed_row_and_nobodys_neighbour(embedded: Dataset) -> None:
    tables = embedded.resources.tables
    ref = TableRef("d", "embedding", tables.shards("d", "embedding")[0])
    rows = tables.read(ref).to_pylist()
    rows[0] |= {"status": "failed", "reason": "out of memory", "vector": None}
    lost = rows[0]["sample_id"]
    tables.write(pa.Table.from_pylist(rows, tables.read(ref).schema), ref, tables.footer(ref))
    made = build_neighbours(declared(clusters=2), embedded.resources)
    assert (made.rows, made.failed) == (12, 1)
    ((status, reason, cluster),) = embedded.sql(
        f"select status, reason, cluster from d.near where sample_id = '{lost}'"
    )
    assert (status, reason, cluster) == ("failed", "no embedding: out of memory", None)
    assert all(lost not in found for found in stored(embedded).values())


def test_column_that_is_not_there_is_one_error(embedded: Dataset) -> None:
    with pytest.raises(NeighboursError, match=r"'d.embedding.vektor' cannot be read.*`arot run d`"):
        build_neighbours(declared(embedding="embedding.vektor"), embedded.resources)


def test_embedding_is_a_column_with_its_table() -> None:
    with pytest.raises(ValueError, match=r"write the column with its table, as in clip_b16\.vector"):
        declared(embedding="embedding")


def test_asset_makes_the_table_and_its_check_finds_every_sample(embedded: Dataset) -> None:
    found = KIND.definitions(declared(clusters=2))
    with dg.DagsterInstance.ephemeral() as instance:
        resources = {**dagster_resources(embedded.resources), "compute": Watched()}
        done = dg.materialize([*found.assets, *found.asset_checks], instance=instance, resources=resources)
        (said,) = told(instance, done.run_id, "by this process, not by Ray")
    assert said.startswith("d/near is made") and "; start the run where there is a GPU, or more cores" in said
    (check,) = done.get_asset_check_evaluations()
    assert check.passed and check.metadata["expected"].value == 12
