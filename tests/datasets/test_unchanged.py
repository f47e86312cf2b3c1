"""A source that did not change is told from one that did without reading the whole inventory at once."""

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arot_assets.datasets import inventory, unchanged
from arot_assets.datasets.changes import compare, plan
from arot_assets.datasets.inventory import read_inventory, seen_again, survey
from arot_assets.datasets.objects import LISTED
from arot_assets.datasets.unchanged import is_unchanged
from resources.storage import Storage
from resources.tables import INVENTORY, TableRef, Tables
from tests.conftest import Dataset
from tests.tiers import draws

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LATER = datetime(2026, 1, 2, tzinfo=UTC)
OBJECTS = st.dictionaries(
    st.sampled_from([f"s/{n}.jpg" for n in range(6)]),
    st.fixed_dictionaries(
        {
            "size": st.integers(0, 2),
            "mtime": st.sampled_from([None, NOW]),
            "etag": st.sampled_from([None, "a", "b"]),
            "sidecars": st.lists(st.sampled_from(["x.txt", "y.json"]), max_size=2, unique=True),
            "sidecar_mtime": st.sampled_from([None, NOW]),
            "metadata": st.sampled_from([None, "{}"]),
        }
    ),
    max_size=6,
)


def listed(objects: dict[str, dict[str, object]], shuffled: int) -> pa.Table:
    """A listing, in chunks of two and in some order."""
    rows = [{"uri": uri, **fields} for uri, fields in objects.items()]
    np.random.default_rng(shuffled).shuffle(rows)  # type: ignore[arg-type]
    pieces = [pa.Table.from_pylist(rows[n : n + 2], schema=LISTED) for n in range(0, len(rows), 2)]
    return pa.concat_tables([LISTED.empty_table(), *pieces])


@settings(max_examples=draws(120), deadline=None)
@given(OBJECTS, OBJECTS, OBJECTS, st.booleans(), st.integers(0, 5))
def test_batches_tell_what_the_whole_comparison_tells(
    tmp_path_factory: pytest.TempPathFactory,
    first: dict[str, dict[str, object]],
    second: dict[str, dict[str, object]],
    third: dict[str, dict[str, object]],
    same: bool,
    order: int,
) -> None:
    tables = Tables(Storage(), str(tmp_path_factory.mktemp("store")))
    before = plan(plan(None, listed(first, 0), NOW, 2).inventory, listed(second, 1), NOW, 2).inventory
    tables.write(before, TableRef("d", INVENTORY))
    now = listed(second if same else third, order)
    found = compare(before, now)
    assert is_unchanged(tables, "d", now) == (not len(found.new) and not len(found.changed) and not len(found.gone))


def test_source_seen_again_is_noted_as_the_whole_comparison_notes_it(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    r, declared = dataset.resources, dataset.declaration
    dataset.inventory()
    gone = next(dataset.source.rglob("*.jpg"))
    gone.unlink()
    dataset.inventory()
    expected = survey(r.storage, r.tables, declared, LATER)
    monkeypatch.setattr(inventory, "survey", None)  # not asked
    assert seen_again(r.storage, r.tables, declared, LATER)
    assert read_inventory(r.tables, "d").equals(expected.changes.inventory, check_metadata=False)  # type: ignore[union-attr]
    assert r.tables.footer(TableRef("d", INVENTORY)) == expected.footer
    assert r.tables.descriptions(TableRef("d", INVENTORY))["uri"] == "where the object is"
    states = dict(dataset.sql("select state, count(*) from d.inventory where last_seen = '2026-01-02' group by 1"))
    assert states == {"present": 11}, "what is gone was not seen"


@pytest.mark.parametrize("change", ["new", "gone", "changed", "caption"])
def test_source_that_changed_is_noted_by_nobody(dataset: Dataset, change: str) -> None:
    r = dataset.resources
    dataset.inventory()
    before = r.tables.version(TableRef("d", INVENTORY))
    picture = next(dataset.source.rglob("*.jpg"))
    if change == "new":
        shutil.copy(picture, picture.with_name("new.jpg"))
    elif change == "gone":
        picture.unlink()
    elif change == "changed":
        picture.write_bytes(picture.read_bytes() + b"x")
    else:
        picture.with_suffix(".txt").write_text("another caption")
    assert not seen_again(r.storage, r.tables, dataset.declaration, LATER)
    assert r.tables.version(TableRef("d", INVENTORY)) == before


def test_two_addresses_with_one_hash_are_left_to_the_whole_comparison(
    make_dataset: Callable[..., Dataset], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset(source)
    dataset.inventory()
    r = dataset.resources
    listing = survey(r.storage, r.tables, dataset.declaration, NOW).listing.objects
    assert is_unchanged(r.tables, dataset.declaration.name, pa.concat_tables([listing, listing.slice(0, 1)])) is None
    monkeypatch.setattr(inventory, "is_unchanged", lambda *_: None)
    assert seen_again(r.storage, r.tables, dataset.declaration, LATER)
    assert unchanged.is_unchanged(r.tables, dataset.declaration.name, listing)
