"""Splits: complete grouping, no leak, every class everywhere, stable as data grows."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.classifiers.declaration import SplitDeclaration
from arot_assets.classifiers.label_query import LabelError
from arot_assets.classifiers.split import leaking_groups, make_split
from arot_assets.metrics.near_duplicates import near_duplicate_groups
from tests.tiers import draws


def brute_force(hashes: list[int], mirrored: list[int], distance: int) -> list[int]:
    """Connected components by comparing all pairs."""
    parents = list(range(len(hashes)))

    def root(k: int) -> int:
        while parents[k] != k:
            k = parents[k]
        return k

    for a in range(len(hashes)):
        for b in range(len(hashes)):
            if min((hashes[a] ^ hashes[b]).bit_count(), (mirrored[a] ^ hashes[b]).bit_count()) <= distance:
                low, high = sorted((root(a), root(b)))
                parents[high] = low
    return [root(k) for k in range(len(hashes))]


@st.composite
def clumped_hashes(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Hashes around a few centres, so that many pairs lie at the border of the distance; equal ones among them."""
    centres = draw(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4))
    flips = st.lists(st.integers(0, 63), max_size=10)

    def near() -> int:
        value = draw(st.sampled_from(centres))
        for bit in draw(flips):
            value ^= 1 << bit
        return value

    n = draw(st.integers(1, 14))
    return [near() for _ in range(n)], [near() for _ in range(n)]


@settings(deadline=None, max_examples=draws(150))
@given(clumped_hashes(), st.integers(0, 11))
def test_grouping_equals_brute_force(values: tuple[list[int], list[int]], distance: int) -> None:
    hashes, mirrored = values
    found = near_duplicate_groups(np.array(hashes, np.uint64), np.array(mirrored, np.uint64), distance)
    assert found.tolist() == brute_force(hashes, mirrored, distance)


def samples(n: int, classes: str, seed: int = 0) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """Labels with random ids, and hashes in which every fifth image is a near-duplicate of the one before."""
    random = np.random.default_rng(seed)
    ids = [random.bytes(16).hex() for _ in range(n)]
    labels = [classes[k % len(classes)] for k in range(n)]
    hashes = random.integers(0, 2**64, n, dtype=np.uint64)
    hashes[4::5] = hashes[3::5][: len(hashes[4::5])] ^ np.uint64(0b101)
    table = pa.table({"sample_id": ids, "label": labels})
    return table, hashes, random.integers(0, 2**64, n, dtype=np.uint64)


@settings(deadline=None, max_examples=draws(40))
@given(st.integers(40, 200), st.integers(0, 5), st.integers(0, 99))
def test_no_group_crosses_splits_and_every_class_is_everywhere(n: int, seed: int, data: int) -> None:
    split = make_split(*samples(n, "abc", data), SplitDeclaration(seed=seed))
    assert leaking_groups(split) == []
    rows = split.to_pylist()
    assert {(row["label"], row["split"]) for row in rows} >= {(c, s) for c in "abc" for s in ("train", "val", "test")}
    assert len({row["group_id"] for row in rows}) < n


def test_near_duplicates_and_mirrored_pictures_stay_together() -> None:
    table, hashes, mirrored = samples(60, "ab")
    mirrored[10] = hashes[30] ^ np.uint64(1 << 40)
    group = make_split(table, hashes, mirrored, SplitDeclaration())["group_id"].to_pylist()
    assert group[3] == group[4] and group[10] == group[30]
    assert group[0] != group[1]


def test_shares_are_as_declared() -> None:
    split = make_split(*samples(3000, "ab"), SplitDeclaration(train=0.5, val=0.2, test=0.3))
    counts = split["split"].value_counts().to_pylist()
    assert {c["values"]: round(c["counts"] / 3000, 2) for c in counts} == {"train": 0.5, "val": 0.2, "test": 0.3}


def test_same_seed_same_split_whatever_the_order_of_rows() -> None:
    table, hashes, mirrored = samples(100, "ab")
    order = np.random.default_rng(1).permutation(100)
    first = make_split(table, hashes, mirrored, SplitDeclaration(seed=3))
    second = make_split(table.take(order), hashes[order], mirrored[order], SplitDeclaration(seed=3))
    assert sorted(first.to_pylist(), key=str) == sorted(second.to_pylist(), key=str)
    other = make_split(table, hashes, mirrored, SplitDeclaration(seed=4))
    assert other["split"].to_pylist() != first["split"].to_pylist()


def test_new_samples_move_no_old_one_and_every_part_keeps_its_size() -> None:
    table, hashes, mirrored = samples(1000, "ab")
    before = make_split(table.slice(0, 500), hashes[:500], mirrored[:500], SplitDeclaration())
    had = dict(zip(before["sample_id"].to_pylist(), before["split"].to_pylist(), strict=True))
    after = make_split(table, hashes, mirrored, SplitDeclaration(), had)
    splits = after["split"].to_pylist()
    assert splits[:500] == before["split"].to_pylist()
    assert all(abs(splits.count(part) - 150) <= 20 for part in ("val", "test"))


def test_sample_that_was_moved_out_of_test_is_trained_on_by_nobody() -> None:
    table, hashes, mirrored = samples(100, "ab")
    before = make_split(table, hashes, mirrored, SplitDeclaration())
    had = dict(zip(before["sample_id"].to_pylist(), before["split"].to_pylist(), strict=True))
    ids, parts = before["sample_id"].to_pylist(), before["split"].to_pylist()
    k = parts.index("test")
    alike = [g == before["group_id"][k].as_py() for g in before["group_id"].to_pylist()]

    def after(had: dict[str, str], **given: list[str | None]) -> dict[str, str]:
        told = table
        for column, values in given.items():
            told = told.append_column(column, pa.array(values, pa.string()))
        made = make_split(told, hashes, mirrored, SplitDeclaration(), had)
        assert leaking_groups(made) == []
        return dict(zip(made["sample_id"].to_pylist(), made["split"].to_pylist(), strict=True))

    by_split = after(had, given_split=["train" if same else None for same in alike])
    trained = parts.index("train")
    by_group = after(had, given_group=["one artist" if n in (k, trained) else None for n in range(100)])
    for moved in (by_split, by_group):
        assert moved[ids[k]] == "held" and {s: p for s, p in moved.items() if p != "held"}.items() <= had.items()
        assert after(moved)[ids[k]] == "held", "and stays so"
    assert after(by_split, given_split=["test" if same else None for same in alike]) == had, "unless it is put back"


def test_groups_and_splits_that_labels_give_are_kept() -> None:
    table, hashes, mirrored = samples(60, "ab")
    artists = [f"artist {k // 4}" for k in range(60)]
    split = make_split(table.append_column("given_group", pa.array(artists)), hashes, mirrored, SplitDeclaration())
    of_artist: dict[str, set[str]] = {}
    for artist, part in zip(artists, split["split"].to_pylist(), strict=True):
        of_artist.setdefault(artist, set()).add(part)
    assert all(len(parts) == 1 for parts in of_artist.values())
    others = {"train": "test", "test": "val", "val": "train"}
    given = [others[part] for part in split["split"].to_pylist()]
    told = make_split(table.append_column("given_split", pa.array(given)), hashes, mirrored, SplitDeclaration())
    assert told["split"].to_pylist() == given
    torn = table.append_column("given_split", pa.array(["train", "test"] * 30)).append_column(
        "given_group", pa.array(artists)
    )
    with pytest.raises(LabelError, match="samples of one group"):
        make_split(torn, hashes, mirrored, SplitDeclaration())


def test_numbers_and_tags_are_in_every_part() -> None:
    table, hashes, mirrored = samples(200, "a")
    plain = table.drop_columns(["label"])
    numbers = make_split(
        plain.append_column("value", pa.array(np.linspace(0, 1, 200))), hashes, mirrored, SplitDeclaration()
    )
    for part in ("train", "val", "test"):
        values = [
            v for v, p in zip(numbers["value"].to_pylist(), numbers["split"].to_pylist(), strict=True) if p == part
        ]
        assert min(values) < 0.3 and max(values) > 0.7
    tags = [["rare", "usual"] if k % 9 == 0 else ["usual"] if k % 2 else [] for k in range(200)]
    tagged = make_split(plain.append_column("labels", pa.array(tags)), hashes, mirrored, SplitDeclaration())
    rare = {p for t, p in zip(tags, tagged["split"].to_pylist(), strict=True) if "rare" in t}
    assert rare == {"train", "val", "test"}


def test_a_class_that_cannot_be_everywhere_is_named() -> None:
    table, hashes, mirrored = samples(41, "a" * 40 + "b")
    with pytest.raises(LabelError, match="class 'b' has 1 images"):
        make_split(table, hashes, mirrored, SplitDeclaration())
