"""The contents of a listing: the objects that are included, with their sidecars.

Belongs here: which objects are included, the columns of a listing, attaching sidecars. Does not belong here: reading a
source (``listing.py``), previous contents and shards (``inventory.py``), the contents of the objects (``samples.py``).

Objects are put into Arrow columns as they arrive: a source has millions of them, and one Python object each would cost
several times the memory, and more time for the garbage collector than for the files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.datasets.exact_pairs import lists_of, pair_exactly
from arot_assets.datasets.pairing import Pairing, pair
from arot_assets.datasets.sidecars import EXTENSIONS as SIDECAR_EXTENSIONS
from arot_assets.media.medium import Medium
from resources.storage.objects import ObjectColumns, shown

TOGETHER = 100_000
"""Objects of one piece of a listing's columns."""
PROBLEMS_SHOWN = 10
UNUSED_SHOWN = 10
UNUSED = "caption, text or JSON file that belongs to nothing"
"""What a listing calls files with a sidecar's extension beside which there is no matching object."""
FOUND = pa.schema([("uri", pa.string()), ("size", pa.int64()), ("mtime", pa.float64()), ("etag", pa.string())])
"""The columns that storage provides (``ObjectColumns``)."""

STAMP = pa.timestamp("us", tz="UTC")
LISTED = pa.schema(
    [
        pa.field("uri", pa.string(), metadata={"description": "where the object is"}),
        pa.field("size", pa.int64(), metadata={"description": "bytes"}),
        pa.field("mtime", STAMP, metadata={"description": "time of its last modification, UTC"}),
        pa.field("etag", pa.string(), metadata={"description": "content tag of the server, null for local files"}),
        pa.field("sidecars", pa.list_(pa.string()), metadata={"description": "caption, tag and JSON files beside it"}),
        pa.field("sidecar_mtime", STAMP, metadata={"description": "last modification of its sidecars, UTC"}),
        pa.field("metadata", pa.string(), metadata={"description": "metadata from a list (JSON), null for folders"}),
    ]
)


@dataclass(frozen=True)
class ListingNotes:
    """What the user should know about a source, or about an archive in it.

    Attributes:
        ignored: extension or cause -> number of files not included, because they are neither of the medium nor
            sidecars.
        problems: one line each about something not included or not understood.
    """

    ignored: Mapping[str, int] = field(default_factory=dict)
    problems: Sequence[str] = ()


@dataclass(frozen=True)
class FolderMetadata:
    """What the metadata files of a source contain (``sources.folder_metadata``).

    Attributes:
        said: uri of an object -> its metadata (``listed.to_metadata``).
        seen: uri of a file with such a name -> its size, time and etag.
        files: uris of those that were read as metadata files.
        told: notes for the user about them.
        stamp: a text that changes when they or these objects change; empty without such files.
    """

    said: Mapping[str, str] = field(default_factory=dict)
    seen: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    files: Sequence[str] = ()
    told: ListingNotes = field(default_factory=ListingNotes)
    stamp: str = ""


@dataclass(frozen=True)
class KnownObjects:
    """What the previous inventory knows, to be reused for what is unchanged.

    Attributes:
        rows: the inventory; None if nothing may be reused.
        archives: see ``Listing``.
        folder: see ``Listing``.
    """

    rows: pa.Table | None = None
    archives: Mapping[str, ListingNotes] = field(default_factory=dict)
    folder: FolderMetadata = field(default_factory=FolderMetadata)


@dataclass(frozen=True)
class Listing:
    """The current contents of a source.

    Attributes:
        objects: schema ``LISTED``, one row per object, in no particular order.
        ignored: extension or cause -> number of files not included, because they are neither of the medium nor
            sidecars.
        unsettled: files left for the next listing, because they are still growing.
        problems: notes for the user about entries that were not included; the first few.
        archives: uri of an archive that was opened, now or earlier -> its part of ``ignored`` and ``problems``.
        folder: what metadata files outside of archives contain.
    """

    objects: pa.Table
    ignored: dict[str, int] = field(default_factory=dict)
    unsettled: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    archives: Mapping[str, ListingNotes] = field(default_factory=dict)
    folder: FolderMetadata = field(default_factory=FolderMetadata)


def found_table(columns: Iterable[ObjectColumns]) -> pa.Table:
    """Objects as storage provides them, as one table of schema ``FOUND``."""
    batches = [
        pa.record_batch([_column(getattr(some, f.name), f.type) for f in FOUND], schema=FOUND)
        for some in _together(columns)
    ]
    return pa.Table.from_batches(batches, schema=FOUND)


def _together(columns: Iterable[ObjectColumns]) -> Iterator[ObjectColumns]:
    """The same objects, at least ``TOGETHER`` at a time: Arrow's allocator rounds up, by a third of a folder's columns."""
    uri: list[str]
    size: list[int]
    mtime: list[float]
    etag: list[str | None]
    uri, size, mtime, etag = [], [], [], []
    for found in columns:
        uri += found.uri
        size += found.size
        mtime += found.mtime
        etag += found.etag
        if len(uri) >= TOGETHER:
            yield ObjectColumns(uri, size, mtime, etag)
            uri, size, mtime, etag = [], [], [], []
    if uri:
        yield ObjectColumns(uri, size, mtime, etag)


def listing_of(
    found: pa.Table,
    medium: Medium,
    growing: Sequence[str] = (),
    metadata: Mapping[str, str] | None = None,
    *,
    cells: bool = False,
) -> Listing:
    """The files of a medium with their sidecars, from everything that was found.

    Args:
        found: schema ``FOUND``.
        medium: whose files are included.
        growing: uris to leave for the next listing.
        metadata: uri -> its metadata from a list.
        cells: whether the objects are cells of a Parquet file, whose names have no extension.
    """
    if cells:
        return Listing(_listed(found, FOUND.empty_table(), None, metadata or {}))
    extension = extensions(found["uri"])
    taken = is_taken(extension, medium)
    is_sidecar = pc.is_in(extension, value_set=pa.array([f".{e}" for e in SIDECAR_EXTENSIONS]))
    others = extension.filter(pc.invert(pc.or_(taken, is_sidecar))).value_counts().to_pylist()
    files, beside = (found if pc.all(taken).as_py() else found.filter(taken)), found.filter(is_sidecar)
    exact = pair_exactly(files["uri"], beside["uri"]) if beside.num_rows else None
    pairs = None
    if beside.num_rows and exact is None:
        pairs = pair(files["uri"].to_pylist(), beside["uri"].to_pylist(), medium.extensions)
    objects = _listed(files, beside, exact if pairs is None else pairs, metadata or {})
    if growing:  # they keep their sidecars
        objects = objects.filter(without(objects, growing))
    ignored = {other["values"]: other["counts"] for other in others}
    if pairs is None or not pairs.unused:
        return Listing(objects, ignored, tuple(growing))
    return Listing(objects, ignored | {UNUSED: len(pairs.unused)}, tuple(growing), (_told(pairs.unused),))


def without(found: pa.Table, uris: Sequence[str]) -> pa.ChunkedArray:
    """A mask of the objects that are not among these."""
    return pc.invert(pc.is_in(found["uri"], value_set=pa.array(uris, pa.string())))


def is_taken(extension: pa.ChunkedArray, medium: Medium) -> pa.ChunkedArray:
    """A mask of the objects that are included, by their extension."""
    return pc.is_in(
        extension, value_set=pa.array(["", *medium.extensions])
    )  # without an extension, the content decides


def extensions(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    """The extension as defined by ``os.path.splitext``, in lower case: ``.jpg``; empty if there is none."""
    match = pc.extract_regex(uris, r"(?:^|/)\.*[^/.][^/]*(?P<extension>\.[^./]*)$")
    return pc.fill_null(pc.utf8_lower(pc.struct_field(match, "extension")), "")


def _column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:  # a name that is not UTF-8 gets a row too, which will say that the object cannot be read
        return pa.array([shown(v) for v in values], kind)


def _told(unused: Sequence[str]) -> str:
    """One line that names sidecars without an object, with the rule for their names."""
    names = ", ".join(unused[:UNUSED_SHOWN])
    more = f" and {len(unused) - UNUSED_SHOWN:,} more" if len(unused) > UNUSED_SHOWN else ""
    return f"{len(unused):,} x {UNUSED} ('a.txt' or 'a.png.txt' belongs to 'a.png'): {names}{more}"


def _listed(
    files: pa.Table, beside: pa.Table, pairs: Pairing | pa.ChunkedArray | None, metadata: Mapping[str, str]
) -> pa.Table:
    """Schema ``LISTED``: each file with the uris of its sidecars, and when the last of them changed."""
    rows = files.num_rows
    if isinstance(pairs, pa.ChunkedArray):
        times_of = pa.chunked_array([pa.array(_microseconds(beside)).cast(STAMP)])
        sidecars, times = lists_of(pairs, pa.table({"uri": beside["uri"], "time": times_of}))
    elif pairs is not None:
        mtimes = dict(zip(beside["uri"].to_pylist(), _microseconds(beside).tolist(), strict=True))
        sidecars = pa.array(pairs.sidecars, pa.list_(pa.string()))
        last = [max((mtimes[u] for u in those), default=None) for those in pairs.sidecars]
        times = pa.array(last, pa.int64()).cast(STAMP)
    else:
        sidecars = pa.ListArray.from_arrays(np.zeros(rows + 1, np.int32), pa.array([], pa.string()))
        times = pa.nulls(rows, STAMP)
    microseconds = _microseconds(files)
    changed = pa.array(microseconds, mask=microseconds == 0).cast(STAMP)  # 0: unknown
    said = pa.nulls(rows, pa.string())
    if metadata:
        said = pa.array([metadata.get(uri) for uri in files["uri"].to_pylist()], pa.string())
    return pa.table([files["uri"], files["size"], changed, files["etag"], sidecars, times, said], schema=LISTED)


def _microseconds(found: pa.Table) -> NDArray[np.int64]:
    """Modification times since the epoch."""
    return np.asarray(found["mtime"].to_numpy() * 1e6).astype(np.int64)
