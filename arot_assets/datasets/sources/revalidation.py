"""Whether the images of a list are unchanged on their servers.

Belongs here: requesting size, time and etag of listed objects from servers, and comparing them with the inventory. Does
not belong here: reading the list (``url_list.py``), the consequences of a change (``inventory.py``).

One ``HEAD`` request is sent per URL, and no image is downloaded.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.declaration import DatasetDeclaration
from arot_assets.datasets.objects import LISTED, Listing
from arot_assets.datasets.reach import reaching, spread
from arot_assets.progress import track
from resources.parallel import fetching_threads, ordered_map
from resources.storage import Storage, StorageError

COLUMNS = ("size", "mtime", "etag")
OPT_OUT = "opt_out"


class ServerState(NamedTuple):
    """What a server reports about an object; None for what it does not report."""

    size: int | None = None
    mtime: datetime | None = None
    etag: str | None = None


def revalidate(
    storage: Storage, declaration: DatasetDeclaration, previous: pa.Table | None, listing: Listing, again: bool
) -> tuple[pa.Table | None, Listing]:
    """Ask the server of each listed URL for its current state.

    If a request fails, the known state of the URL is kept and a problem is reported. If the owner has since forbidden
    training on an object, its known state is dropped, which counts as a change.

    Args:
        storage: accesses the servers, with the settings of the declaration.
        declaration: the dataset.
        previous: the previous inventory, None at first.
        listing: of the list, with the values known from the inventory (``inventory.carry``).
        again: whether ``previous`` was revalidated too. If not, the current state is the first that is known.

    Returns:
        The previous inventory and the listing, completed. An object has changed if their columns differ.
    """
    source = reaching(storage, declaration)
    said: dict[str, ServerState] = {}
    same: set[str] = set()
    lost: list[str] = []

    def ask(row: Mapping[str, Any]) -> tuple[Mapping[str, Any], ServerState | StorageError]:
        try:
            info = source.stat(row["uri"])
        except StorageError as error:
            return row, ServerState() if error.kind == OPT_OUT else error
        when = datetime.fromtimestamp(info.mtime, UTC) if info.mtime else None
        found = ServerState(info.size or None, when, info.etag)
        return row, found if found != ServerState() else _known(row)

    rows = listing.objects.select(["uri", *COLUMNS]).to_pylist()
    with (
        track(f"{declaration.name}: asking servers", len(rows)) as advance,
        closing(ordered_map(ask, spread(rows), fetching_threads(True))) as answers,
    ):
        for row, answer in answers:
            advance(1)
            if isinstance(answer, StorageError):
                lost.append(answer.reason)
                continue
            known = _known(row)
            said[row["uri"]] = answer
            if is_same(known, answer) or (known == ServerState() and not again):
                same.add(row["uri"])
                said[row["uri"]] = ServerState(
                    answer.size or known.size, answer.mtime or known.mtime, answer.etag or known.etag
                )
    problems = listing.problems
    if lost:
        told = (
            f"{len(lost):,} of {len(rows):,} URLs could not be checked for changes, and count as unchanged; for example"
        )
        problems = (*problems, f"{told} {lost[0]}")
    listing = replace(listing, objects=_told(listing.objects, said), problems=problems)
    if previous is not None:
        previous = _told(previous, {uri: said[uri] for uri in same})
    return previous, listing


def is_same(known: ServerState, now: ServerState) -> bool:
    """Whether two states have the same bytes: by etag, otherwise time, otherwise size, whichever both have."""
    if known.etag and now.etag:
        return known.etag.removeprefix("W/") == now.etag.removeprefix("W/")
    if now == ServerState() or known == ServerState():
        return now == known
    if known.mtime and now.mtime and known.mtime != now.mtime:
        return False
    return known.size is None or now.size is None or known.size == now.size


def _known(row: Mapping[str, Any]) -> ServerState:
    return ServerState(row["size"], row["mtime"], row["etag"])


def _told(table: pa.Table, said: Mapping[str, ServerState]) -> pa.Table:
    """The table with these states in the present rows of the objects; all rows of a listing are present."""
    if not said:
        return table
    uris = pa.array(said, pa.string())
    rows = pc.index_in(table["uri"], value_set=uris).combine_chunks()
    if "state" in table.schema.names:
        rows = pc.if_else(pc.equal(table["state"], "present").combine_chunks(), rows, None)
    meant = rows.is_valid()
    columns = {}
    for n, name in enumerate(COLUMNS):
        values = pa.array([one[n] for one in said.values()], LISTED.field(name).type)
        columns[name] = pc.if_else(meant, values.take(rows), table[name].combine_chunks())
    return _with(table, columns)


def _with(table: pa.Table, columns: Mapping[str, Any]) -> pa.Table:
    for name, values in columns.items():
        table = table.set_column(table.schema.get_field_index(name), LISTED.field(name), values)
    return table
