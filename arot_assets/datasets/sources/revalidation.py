"""Whether images of a list are still the same at their servers.

Belongs here: asking servers for size, time and etag of what is listed, and comparing with what the inventory knows of it.
Does not belong here: reading the list (``url_list.py``), what becomes of a change (``inventory.py``).

One ``HEAD`` request is sent for each URL, and no image is fetched.
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
    """What a server tells of an object; None is what it does not tell."""

    size: int | None = None
    mtime: datetime | None = None
    etag: str | None = None


def revalidate(
    storage: Storage, declaration: DatasetDeclaration, previous: pa.Table | None, listing: Listing, again: bool
) -> tuple[pa.Table | None, Listing]:
    """Ask the server of each listed URL what it has now.

    A URL that cannot be asked keeps what is known of it and is told among the problems. One whose owner came to forbid
    training on it loses what is known of it, which is a change.

    Args:
        storage: reaches the servers, under the rules of the declaration.
        declaration: the dataset.
        previous: the inventory so far, None at first.
        listing: of the list, with what the inventory knows (``inventory.carry``).
        again: whether ``previous`` was made so too. If not, what the servers say now is the first that is known.

    Returns:
        The inventory so far and the listing, completed. An object is another one where their columns differ.
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
        told = f"{len(lost):,} of {len(rows):,} URLs could not be asked whether they changed, and count as unchanged; one is"
        problems = (*problems, f"{told} {lost[0]}")
    listing = replace(listing, objects=_told(listing.objects, said), problems=problems)
    if previous is not None:
        previous = _told(previous, {uri: said[uri] for uri in same})
    return previous, listing


def is_same(known: ServerState, now: ServerState) -> bool:
    """Whether two answers are about the same bytes: by the etag, else the time, else the size, whichever both have."""
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
    """The table with what was said of these objects, in their present rows; all rows of a listing are present."""
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
