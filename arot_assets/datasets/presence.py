"""Where objects are now: which rows of a shard are present, and where else the bytes of a sample lie.

Belongs here: questions to inventory and samples together. Does not belong here: reading objects (``reach.py``), views.

An object that left keeps its row of ``samples``, at the address where it was. Whoever needs the bytes of a sample goes by
what is present: a moved file has a row of its own at its new address, and equal files stand in for one another.
"""

import threading
from collections.abc import Collection

import pyarrow as pa

from resources.tables import INVENTORY, SAMPLES, Tables
from resources.warehouse.connection import open_duckdb
from resources.warehouse.views import files


def present_uris(tables: Tables, dataset: str, shard: str) -> set[str]:
    """The objects of a shard that are at the source, by the last listing."""
    with open_duckdb(tables) as con:
        rows = con.execute(
            f"select uri from {files(tables, dataset, INVENTORY)} where shard = ? and state = 'present'", [shard]
        ).fetchall()
    return {uri for (uri,) in rows}


class Copies:
    """``sample_id -> addresses`` of present objects of these bytes, in the inventory's order. Safe in threads.

    Nothing is looked up before the first call: only a sample that cannot be read where it should be needs another address.

    Args:
        tables: the lake.
        dataset: whose objects.
        sample_ids: those that may be asked for; None for all that lie in several places.
    """

    def __init__(self, tables: Tables, dataset: str, sample_ids: Collection[str] | None = None) -> None:
        self._tables = tables
        self._dataset = dataset
        self._wanted = sample_ids
        self._found: dict[str, list[str]] | None = None
        self._lock = threading.Lock()

    def __call__(self, sample_id: str) -> list[str]:
        """Addresses of the sample; empty when no present object has these bytes."""
        with self._lock:
            if self._found is None:
                self._found = self._look_up()
        return self._found.get(sample_id, [])

    def _look_up(self) -> dict[str, list[str]]:
        tables, dataset = self._tables, self._dataset
        wanted = "" if self._wanted is None else "semi join wanted using (sample_id)"
        several = "having count(*) > 1" if self._wanted is None else ""
        with open_duckdb(tables) as con:
            if self._wanted is not None:
                con.register("wanted", pa.table({"sample_id": pa.array(list(self._wanted), pa.string())}))
            rows = con.execute(
                f"""select sample_id, list(uri order by shard, uri) from {files(tables, dataset, SAMPLES)} s {wanted}
                semi join (select uri, shard from {files(tables, dataset, INVENTORY)} where state = 'present') p
                    on s.uri = p.uri and s.shard = p.shard
                where status in ('ok', 'duplicate') group by sample_id {several}"""
            ).fetchall()
        return dict(rows)
