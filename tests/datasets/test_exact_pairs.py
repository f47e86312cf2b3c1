"""Sidecars of the usual folder, paired by whole columns: as the rules for single names say, or not at all."""

import numpy as np
import pyarrow as pa
from hypothesis import assume, given
from hypothesis import strategies as st

from arot_assets.datasets.exact_pairs import lists_of, pair_exactly
from arot_assets.datasets.objects import extensions
from arot_assets.datasets.pairing import pair
from arot_assets.datasets.sidecars import EXTENSIONS

FOLDERS = st.sampled_from(["/a", "/a/b.c", "/images", "/captions"])
NAMES = st.sampled_from(["x", "X", "x.y", ".x", "..", "x_caption", "x.png", "é"])
OBJECTS = st.builds("{}/{}{}".format, FOLDERS, NAMES, st.sampled_from(["", ".png", ".jpg", ".JPG", "."]))
SIDECARS = st.builds("{}/{}{}".format, FOLDERS, NAMES, st.sampled_from([".txt", ".TXT", ".json"]))


def _column(values: list[str]) -> pa.ChunkedArray:
    return pa.chunked_array([values[::2], values[1::2]], pa.string())


@given(st.lists(OBJECTS, unique=True, max_size=5), st.lists(SIDECARS, unique=True, min_size=1, max_size=4))
def test_what_is_paired_at_once_is_paired_as_by_the_rules(objects: list[str], sidecars: list[str]) -> None:
    of_kind = extensions(pa.chunked_array([sidecars]))
    sidecars = [s for s, e in zip(sidecars, of_kind.to_pylist(), strict=True) if e.lstrip(".") in EXTENSIONS]
    assume(sidecars)
    uris, beside = _column(objects), _column(sidecars)
    which = pair_exactly(uris, beside)
    if which is None:
        return
    times = pa.chunked_array([pa.array(np.arange(len(sidecars)))])
    lists, last = lists_of(which, pa.table({"uri": beside, "time": times}))
    expected = pair(uris.to_pylist(), beside.to_pylist(), {".png", ".jpg"})
    assert lists.to_pylist() == expected.sidecars and expected.unused == []
    number = {uri: k for k, uri in enumerate(beside.to_pylist())}
    assert last.to_pylist() == [number[those[0]] if those else None for those in expected.sidecars]


def test_the_usual_folder_is_paired_at_once_and_others_by_the_rules() -> None:
    objects = _column(["/a/x.png", "/a/y.png", "/a/z.png"])
    found = pair_exactly(objects, _column(["/a/x.txt", "/a/z.png.json"]))
    assert found is not None
    assert pair_exactly(objects, _column(["/a/x.txt", "/a/x.json"])) is None
    assert pair_exactly(objects, _column(["/a/x.txt", "/a/x.png.txt"])) is None
    assert pair_exactly(objects, _column(["/a/x.txt", "/a/x_caption.txt"])) is None
    assert pair_exactly(_column(["/a.tar!/x.png"]), _column(["/a.tar!/x.txt"])) is None
