"""Sidecars of the usual folder: each object has at most one, of exactly its name, and none is left.

Belongs here: pairing whole columns, in half the time and memory of looking at each name. Does not belong here: the rules
(``pairing.py``), which decide about every other folder.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.gathering import Rows, slices, take
from resources.storage.member_address import MARK

LAST_EXTENSION = r"\.[^./]*$"


def pair_exactly(objects: pa.ChunkedArray, sidecars: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The one sidecar of each object, as its row (int32), null without; the same as ``pairing.pair``.

    Args:
        objects: uris.
        sidecars: uris of files with one of ``sidecars.EXTENSIONS``, at least one.

    Returns:
        None if the rules have to decide: two sidecars of one name, one without an object, members of archives.
    """
    if pc.any(pc.match_substring(objects, MARK)).as_py():
        return None
    stems = pc.replace_substring_regex(sidecars, LAST_EXTENSION, "")
    bare = pc.replace_substring_regex(objects, LAST_EXTENSION, "")
    if pc.count_distinct(stems).as_py() < len(stems):
        return None
    by_whole = pc.index_in(objects, value_set=stems)
    by_stem = pc.if_else(pc.equal(bare, objects), None, pc.index_in(bare, value_set=stems))
    if pc.any(pc.and_(by_whole.is_valid(), by_stem.is_valid())).as_py():
        return None
    which = pc.coalesce(by_whole, by_stem)
    used = np.zeros(len(stems), np.bool_)
    used[which.drop_null().to_numpy()] = True
    return which if used.all() else None


def lists_of(which: pa.ChunkedArray, sidecars: pa.Table) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """What the objects' rows say of their sidecars: a list with none or one uri, and its time, null without.

    Args:
        which: ``pair_exactly``.
        sidecars: with the columns ``uri`` and ``time``.
    """
    valid = which.is_valid().to_numpy()
    rows: Rows = which.fill_null(0).to_numpy().astype(np.int64)
    uris, times = [], []
    for some in slices(len(rows)):
        there = valid[some]
        mine = take(sidecars["uri"], rows[some][there])
        uris.append(pa.ListArray.from_arrays(np.concatenate([[0], np.cumsum(there)]).astype(np.int32), mine))
        every = take(sidecars["time"], rows[some])
        times.append(pc.if_else(pa.array(there), every, pa.scalar(None, every.type)))
    return (
        pa.chunked_array(uris, pa.list_(pa.string())),
        pa.chunked_array(times, sidecars["time"].type),
    )
