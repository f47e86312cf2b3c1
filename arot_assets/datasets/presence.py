"""Where objects are now: which rows of a shard are present, and other addresses of a sample's bytes.

Belongs here: queries over inventory and samples together. Does not belong here: reading objects (``reach.py``), views,
which of equal objects is the sample (``duplicates.py``).

An object that disappeared keeps its row of ``samples``, with its former address. Code that needs the bytes of a sample
uses present objects: a moved file has another row with its new address, and equal files can replace each other.
"""

import threading
from collections.abc import Collection

import pyarrow as pa
import pyarrow.compute as pc

from resources.tables import INVENTORY, SAMPLES, TableRef
from resources.warehouse import Warehouse
from resources.warehouse.views import files


def present_uris(warehouse: Warehouse, dataset: str, shard: str) -> set[str]:
    """The objects of a shard that are at the source, according to the last listing."""
    inventory = files(warehouse.tables, dataset, INVENTORY)
    found = warehouse.ask(f"select uri from {inventory} where shard = ? and state = 'present'", [shard])
    return set(found["uri"].to_pylist())


def objects_of_shards(warehouse: Warehouse, dataset: str) -> dict[str, int]:
    """Shard -> how many objects it has, according to the inventory; empty without one."""
    if warehouse.tables.footer_if_any(TableRef(dataset, INVENTORY)) is None:
        return {}
    found = warehouse.ask(
        f"select shard, count(*) as n from {files(warehouse.tables, dataset, INVENTORY)} group by shard"
    )
    return dict(zip(found["shard"].to_pylist(), found["n"].to_pylist(), strict=True))


class Copies:
    """``sample_id -> addresses`` of present objects with these bytes, in the inventory's order. Thread-safe.

    Nothing is queried before the first call: only a sample that cannot be read at its own address needs another one.

    Args:
        warehouse: over the store.
        dataset: whose objects.
        sample_ids: those that may be requested; None for all that have several addresses.
    """

    def __init__(self, warehouse: Warehouse, dataset: str, sample_ids: Collection[str] | None = None) -> None:
        self._warehouse = warehouse
        self._dataset = dataset
        self._wanted = sample_ids
        self._found: dict[str, list[str]] | None = None
        self._lock = threading.Lock()

    def __call__(self, sample_id: str) -> list[str]:
        """Addresses of the sample; empty if no present object has these bytes."""
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
    """The shards that contain or contained the bytes of a sample, for bytes that are in several shards. Thread-safe.

    The query runs once per run rather than once per shard, and not before it is needed.

    Args:
        warehouse: over the store.
        dataset: whose shards.
    """

    def __init__(self, warehouse: Warehouse, dataset: str) -> None:
        self._warehouse = warehouse
        self._dataset = dataset
        self._found: pa.Table | None = None
        self._lock = threading.Lock()

    def __reduce__(self) -> "tuple[type[Shards], tuple[Warehouse, str]]":
        """Another process looks for itself, once."""
        return type(self), (self._warehouse, self._dataset)

    def having(self, sample_ids: Collection[str]) -> set[str]:
        """The shards that have, or had, one of these contents; only for contents in more than one shard."""
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
