"""Whether a source is as it was at the last listing: the usual case, and the cheapest.

Belongs here: comparing a listing with the inventory batch by batch, noting that all was seen again. Does not belong here: what
changed (``changes.py``), reading the source (``listing.py``).

Neither the old inventory nor a table of all its addresses is held in memory beside the listing: ten million objects take half of
what the full comparison takes.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.datasets.changes import COMPARED, SCHEMA, equal
from arot_assets.datasets.gathering import take
from resources.tables import INVENTORY, TableRef, Tables


def is_unchanged(tables: Tables, dataset: str, objects: pa.Table) -> bool | None:
    """Whether the present objects of the inventory are exactly these, each as it was.

    Args:
        tables: the store's tables.
        dataset: whose inventory, which has the columns of ``SCHEMA``.
        objects: schema ``LISTED``, one row per object, in any order.

    Returns:
        None if only the full comparison can tell: two addresses have the same hash.
    """
    import duckdb

    with duckdb.connect() as con:

        def hashes(uris: pa.Array | pa.ChunkedArray) -> NDArray[np.uint64]:
            con.register("listed", pa.table({"uri": uris}))
            return np.asarray(con.sql("select hash(uri) as h from listed").fetchnumpy()["h"])

        whole = hashes(objects["uri"])
        order = np.argsort(whole).astype(np.uint32 if len(whole) < 2**32 else np.int64)
        ordered = whole[order]
        del whole
        if (ordered[1:] == ordered[:-1]).any():
            return None
        seen = 0
        for batch in tables.batches(TableRef(dataset, INVENTORY), ["uri", *COMPARED, "state"]):
            present = batch.filter(pc.equal(batch["state"], "present"))
            found = hashes(present["uri"])
            by = np.argsort(found)  # looked up in order, each is found near the one before
            places = np.searchsorted(ordered, found[by])
            if (places == len(ordered)).any() or (ordered[places] != found[by]).any():
                return False
            rows = np.empty_like(by)
            rows[by] = order[places]
            if not all(equal(present[name], take(objects[name], rows)).all() for name in ("uri", *COMPARED)):
                return False
            seen += present.num_rows
    return bool(seen == objects.num_rows)


def note_seen(tables: Tables, dataset: str, now: datetime, footer: Mapping[str, str]) -> None:
    """Write the inventory anew, with another footer and this time as ``last_seen`` of its present objects.

    Raises:
        StorageError: the store cannot be read or written; the inventory is unchanged.
    """
    place = TableRef(dataset, INVENTORY)
    stamp = pa.scalar(now, SCHEMA.field("last_seen").type)

    def noted() -> Iterator[pa.RecordBatch]:
        for batch in tables.batches(place, SCHEMA.names):
            present = pc.equal(batch["state"], "present")
            seen = pc.if_else(present, stamp, batch["last_seen"])
            columns = [seen if field.name == "last_seen" else batch[field.name].cast(field.type) for field in SCHEMA]
            yield pa.record_batch(columns, schema=SCHEMA)

    tables.write_batches(noted(), SCHEMA, place, footer)
