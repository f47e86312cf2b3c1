"""Where objects are now: which rows of a shard are present, and where else the bytes of a sample lie.

Belongs here: questions to inventory and samples together. Does not belong here: reading objects (``reach.py``), views, which of
equal objects is the sample (``duplicates.py``).

An object that left keeps its row of ``samples``, at the address where it was. Whoever needs the bytes of a sample goes by
what is present: a moved file has a row of its own at its new address, and equal files stand in for one another.
"""

import threading
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from resources.tables import INVENTORY, SAMPLES
from resources.warehouse import Warehouse
from resources.warehouse.views import files


def present_uris(warehouse: Warehouse, dataset: str, shard: str) -> set[str]:
    """The objects of a shard that are at the source, by the last listing."""
    inventory = files(warehouse.tables, dataset, INVENTORY)
    found = warehouse.ask(f"select uri from {inventory} where shard = ? and state = 'present'", [shard])
    return set(found["uri"].to_pylist())


class Copies:
    """``sample_id -> addresses`` of present objects of these bytes, in the inventory's order. Safe in threads.

    Nothing is looked up before the first call: only a sample that cannot be read where it should be needs another address.

    Args:
        warehouse: over the lake.
        dataset: whose objects.
        sample_ids: those that may be asked for; None for all that lie in several places.
    """

    def __init__(self, warehouse: Warehouse, dataset: str, sample_ids: Collection[str] | None = None) -> None:
        self._warehouse = warehouse
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
        tables, dataset = self._warehouse.tables, self._dataset
        wanted = "" if self._wanted is None else "semi join wanted using (sample_id)"
        several = "having count(*) > 1" if self._wanted is None else ""
        found = self._warehouse.ask(
            f"""select sample_id, list(uri order by shard, uri) as uris from {files(tables, dataset, SAMPLES)} s {wanted}
            semi join (select uri, shard from {files(tables, dataset, INVENTORY)} where state = 'present') p
                on s.uri = p.uri and s.shard = p.shard
            where status in ('ok', 'duplicate') group by sample_id {several}""",
            wanted=pa.table({"sample_id": pa.array(list(self._wanted or ()), pa.string())}),
        )
        return dict(zip(found["sample_id"].to_pylist(), found["uris"].to_pylist(), strict=True))


class Shards:
    """In which shards the bytes of a sample lie or lay, of those that several shards have. Safe in threads.

    It is asked once for a whole run, not once for each shard, and not before somebody wants to know.

    Args:
        warehouse: over the lake.
        dataset: whose shards.
    """

    def __init__(self, warehouse: Warehouse, dataset: str) -> None:
        self._warehouse = warehouse
        self._dataset = dataset
        self._found: pa.Table | None = None
        self._lock = threading.Lock()

    def having(self, sample_ids: Collection[str]) -> set[str]:
        """The shards that have, or had, one of these contents; only of contents that more than one shard has."""
        with self._lock:
            if self._found is None:
                self._found = self._warehouse.ask(
                    f"""select sample_id, unnest(shards) as shard from (
                        select sample_id, list(distinct shard) as shards
                        from {files(self._warehouse.tables, self._dataset, SAMPLES)}
                        where status in ('ok', 'duplicate') group by 1 having min(shard) <> max(shard))"""
                )
        wanted = pa.array(list(sample_ids), pa.string())
        return set(pc.unique(self._found["shard"].filter(pc.is_in(self._found["sample_id"], wanted))).to_pylist())
