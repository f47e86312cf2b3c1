"""Duplicates: complete within the declared distance, in groups that do not chain, with the better sample kept."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from arot_assets.duplicates.assets import duplicates_assets
from arot_assets.duplicates.build import build_duplicates
from arot_assets.duplicates.cosine import similar_pairs
from arot_assets.duplicates.declaration import DuplicatesDeclaration, Leak
from arot_assets.duplicates.explain import duplicates_of
from arot_assets.duplicates.groups import HashClasses, members
from arot_assets.duplicates.hamming import DuplicatesError, RowPairs, near_pairs, pairs_within
from arot_assets.duplicates.leaks import find_leaks
from arot_assets.duplicates.steps import duplicates_state
from arot_assets.steps import Look
from tests.conftest import DATA, Dataset
from tests.exports.training import SUBSET, Training

NONE = RowPairs(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))


def declaration(**fields: object) -> DuplicatesDeclaration:
    """The duplicates of ``d``."""
    return DuplicatesDeclaration.model_validate({"name": "same", "dataset": "d"} | fields)


def clumped(count: int, seed: int = 0) -> np.ndarray:
    """Hashes as real ones are: many near a few, bits flipped."""
    random = np.random.default_rng(seed)
    centres = random.integers(0, 2**63, max(1, count // 8), np.uint64)
    found = centres[random.integers(0, len(centres), count)]
    for _ in range(4):
        found ^= np.uint64(1) << random.integers(0, 64, count).astype(np.uint64)
    return found


@pytest.mark.parametrize("distance", [0, 3, 6, 10])
def test_every_pair_within_the_distance_is_found_once(distance: int) -> None:
    queries, hashes = clumped(300), clumped(400, 1)
    hashes[:50] = queries[:50]
    apart = np.bitwise_count(queries[:, None] ^ hashes[None, :])
    found = pairs_within(queries, hashes, distance)
    got = list(zip(found.first.tolist(), found.second.tolist(), found.distance.astype(int).tolist(), strict=True))
    wanted = [(int(a), int(b), int(apart[a, b])) for a, b in np.argwhere(apart <= distance)]
    assert len(got) == len(set(got)) and sorted(got) == sorted(wanted)


def test_every_pair_of_mirrored_pictures_is_found() -> None:
    unique = np.unique(clumped(300))
    turned = clumped(len(unique), 2)
    turned[:20] = unique[40:60]
    _, found = near_pairs(unique, turned, 4)
    apart = np.bitwise_count(turned[:, None] ^ unique[None, :]) <= 4
    wanted = {(min(a, b), max(a, b)) for a, b in np.argwhere(apart).tolist() if a != b}
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == wanted and len(found.first) == len(
        wanted
    )


def test_groups_do_not_chain() -> None:
    hashes = np.array([0b0001, 0b0111, 0b11111], np.uint64)  # the ends are 4 bits apart
    plain = RowPairs(np.array([0, 1]), np.array([1, 2]), np.array([2, 2], np.float32))
    hashed = HashClasses(hashes, np.zeros(3, np.uint64), np.arange(3), plain, NONE, 2)
    assert [(m.row, m.kept) for m in members([0, 1, 2], hashed, NONE)] == [(1, 0)]
    assert sorted((m.row, m.kept) for m in members([1, 0, 2], hashed, NONE)) == [(0, 1), (2, 1)]


def test_all_similar_embeddings_are_found() -> None:
    random = np.random.default_rng(3)
    vectors = random.normal(size=(500, 16)).astype(np.float32)
    vectors[100:130] = vectors[:30] + random.normal(scale=0.05, size=(30, 16)).astype(np.float32)
    vectors[7] = 0
    found = similar_pairs(vectors, 0.97)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    wanted = {(a, b) for a, b in np.argwhere(np.triu(unit @ unit.T, 1) >= 0.97).tolist()}
    assert set(zip(found.first.tolist(), found.second.tolist(), strict=True)) == wanted and len(wanted) >= 25


@pytest.mark.parametrize("least", [0.3, 0.9, 0.97])
@pytest.mark.parametrize("kind", ["spread evenly", "near a few directions", "in clumps"])
def test_no_pair_of_embeddings_is_ruled_out_that_is_similar(kind: str, least: float) -> None:
    random = np.random.default_rng(3)
    vectors = random.standard_normal((2500, 300), np.float32)
    if kind == "near a few directions":
        vectors *= np.geomspace(1, 0.01, 300, dtype=np.float32)
    elif kind == "in clumps":
        vectors = (
            vectors[random.integers(0, 300, 2500)] + random.uniform(0, 0.6, (2500, 1)).astype(np.float32) * vectors
        )
    vectors[:900] = vectors[900:1800] + 0.3 * vectors[:900]
    vectors[5:7] = 0
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    cosines = np.triu(unit.astype(np.float64) @ unit.T.astype(np.float64), 1)
    sure, possible = ({*zip(*(cosines >= least + by).nonzero(), strict=True)} for by in (1e-5, -1e-5))
    found = similar_pairs(vectors, least)
    pairs = {*zip(found.first, found.second, strict=True)}
    assert len(pairs) == len(found.first) and sure and sure <= pairs <= possible


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The near duplicates with known truth, and a copy with other bytes and the same pixels."""
    folder = tmp_path_factory.mktemp("near") / "source"
    shutil.copytree(DATA / "near_duplicates", folder)
    one = next(folder.glob("*__original.png"))
    with Image.open(one) as picture:
        picture.load()
        picture.save(folder / "same_pixels.png", compress_level=1)
    return folder


def test_the_known_near_duplicates_are_found_with_their_evidence_and_the_best_stays(
    make_dataset: Callable[..., Dataset], known: Path
) -> None:
    dataset = make_dataset(known, shard_size=30)
    dataset.run("phash")
    found = build_duplicates(declaration(bits=10), dataset.resources)
    rows = dataset.sql(
        """select parse_filename(s.uri), parse_filename(k.uri), d.kind, d.distance, k.width * k.height >= s.width * s.height
        from d.duplicates d join d.samples s on d.sample_id = s.sample_id and s.status = 'ok'
        join d.samples k on d.kept = k.sample_id and k.status = 'ok' where not d.stays"""
    )
    assert found.samples - found.stay == len(rows)
    assert all(better for *_, better in rows)
    stems = [(a.split("__")[0], b.split("__")[0]) for a, b, *_ in rows if "same_pixels" not in (a + b)]
    assert all(a == b for a, b in stems)  # nothing is grouped with another picture
    for relation in ("half_size", "jpeg_q30", "bright10", "mirrored"):
        assert sum(f"__{relation}" in a or f"__{relation}" in b for a, b, *_ in rows) >= 10
    kinds = {kind for _, _, kind, *_ in rows}
    assert {"phash", "mirrored", "pixels"} <= kinds
    ((truth,),) = dataset.sql("select count(*) from d.duplicate_edges where kind = 'pixels'")
    assert truth == 1


def test_duplicates_are_current_until_hashes_or_settings_change(
    make_dataset: Callable[..., Dataset], source: Path
) -> None:
    dataset = make_dataset(source)
    dataset.run("phash")
    with Look(dataset.resources) as look:
        assert not duplicates_state(look, declaration()).current
    build_duplicates(declaration(), dataset.resources)
    with Look(dataset.resources) as look:
        assert duplicates_state(look, declaration()).current
        assert not duplicates_state(look, declaration(bits=8)).current
    with pytest.raises(DuplicatesError, match="no order"):
        build_duplicates(declaration(keep="nothing desc"), dataset.resources)


def test_a_mirrored_picture_of_the_evaluation_set_is_a_leak(
    make_dataset: Callable[..., Dataset], source: Path, tmp_path: Path
) -> None:
    sea = sorted((source / "sea").glob("*.jpg"))[0]
    with Image.open(sea) as picture:
        ImageOps.mirror(picture).save(source / "mirrored.png")
    dataset = make_dataset(source)
    dataset.run("phash")
    training = Training(dataset, tmp_path / "project")
    training.select(SUBSET.replace("= 'ok'", "= 'ok' and uri like '%mirrored.png'"), "judged")
    training.select(SUBSET.replace("= 'ok'", "= 'ok' and uri not like '%mirrored.png'"), "trained")
    (leaked,) = find_leaks(Leak(training="trained", evaluation="judged"), dataset.resources, 6)
    assert leaked.kind == "mirrored" and leaked.bits <= 6
    training.select(SUBSET.replace("= 'ok'", "= 'ok' and uri like '%city%'"), "trained")
    assert find_leaks(Leak(training="trained", evaluation="judged"), dataset.resources, 6) == []


def test_explain_says_of_whom_a_sample_is_a_duplicate(make_dataset: Callable[..., Dataset], source: Path) -> None:
    sea = sorted((source / "sea").glob("*.jpg"))[0]
    with Image.open(sea) as picture:
        picture.resize((picture.width // 2, picture.height // 2)).save(source / "small.png")
    dataset = make_dataset(source)
    dataset.run("phash")
    build_duplicates(declaration(), dataset.resources)
    ids = dict(dataset.sql("select parse_filename(uri), sample_id from d.samples where status = 'ok'"))
    with dataset.resources.warehouse.connect() as con:
        (small,), (large,) = duplicates_of(con, ids["small.png"]), duplicates_of(con, ids[sea.name])
    assert small.startswith("it is a duplicate of") and sea.name in small and "bits apart" in small
    assert large.startswith("a duplicate of it:") and "small.png" in large


PREFERRED = """select sample_id, {preference} as preference from {{{{ source('d', 'samples') }}}} where status = 'ok'"""


def test_the_asset_says_what_decides_who_stays() -> None:
    (asset,) = duplicates_assets(declaration(keep="bytes desc", keep_by="preferred"))
    (told,) = asset.descriptions_by_key.values()
    assert "the first by `preference` of the model `preferred`, then `bytes desc`" in told


def test_a_model_says_who_stays(make_dataset: Callable[..., Dataset], source: Path, tmp_path: Path) -> None:
    sea = sorted((source / "sea").glob("*.jpg"))[0]
    with Image.open(sea) as picture:
        picture.resize((picture.width // 2, picture.height // 2)).save(source / "small.png")
    dataset = make_dataset(source)
    dataset.run("phash")
    declared = declaration(keep_by="preferred")
    with Look(dataset.resources) as look:
        assert duplicates_state(look, declared).waits == ("models/preferred",)
    with pytest.raises(DuplicatesError, match="`keep_by: preferred` is no built model"):
        build_duplicates(declared, dataset.resources)
    training = Training(dataset, tmp_path / "project")

    def stays(preference: str) -> list[str]:
        training.select(PREFERRED.format(preference=preference), "preferred")
        with Look(dataset.resources) as look:
            assert not duplicates_state(look, declared).current
        build_duplicates(declared, dataset.resources)
        with Look(dataset.resources) as look:
            assert duplicates_state(look, declared).current
        rows = dataset.sql(
            "select distinct parse_filename(uri) from d.samples join d.duplicates using (sample_id) "
            f"where stays and parse_filename(uri) in ('small.png', '{sea.name}')"
        )
        return [name for (name,) in rows]

    assert stays("row_number() over (order by width, sample_id)") == ["small.png"]
    assert stays("row_number() over (order by width desc, sample_id)") == [sea.name]
    training.select(PREFERRED.format(preference="nullif(width, 0)") + " union all select 'x', null", "preferred")
    with pytest.raises(DuplicatesError, match="without exactly one preference"):
        build_duplicates(declared, dataset.resources)
