"""Whether a metric table has a row for every sample, and for no other.

Belongs here: the queries. Does not belong here: how Dagster shows the answer (``checks.py``).
"""

from arot_assets.datasets.conservation import ConservationResult, compare_keys
from resources.tables import SAMPLES, Tables
from resources.warehouse import Warehouse
from resources.warehouse.departed import departed
from resources.warehouse.views import files


def rows_conserved(warehouse: Warehouse, dataset: str, table: str, several: bool = False) -> ConservationResult:
    """Exactly one row for every ok sample of a present object, in every shard that is up to date; or one or more, if a
    sample may have several.

    An object that left is no work any more: its rows may stay, and no view shows them. A shard whose samples changed since (a
    run beside this one read or settled them) is work that is known to be missing, and no loss.
    """
    tables = warehouse.tables
    done = ", ".join(f"'{shard}'" for shard in up_to_date(tables, dataset, table)) or "''"
    ok = (
        f"select sample_id, uri, shard from {files(tables, dataset, SAMPLES)} where status = 'ok' and shard in ({done})"
    )
    expected = f"select sample_id, shard from ({ok}) anti join ({departed(tables, dataset)}) using (uri, shard)"
    left = f"select sample_id, shard from ({ok}) semi join ({departed(tables, dataset)}) using (uri, shard)"
    rows = f"select sample_id, parse_filename(filename, true) as shard from {files(tables, dataset, table, named=True)}"
    rows = f"select distinct * from ({rows})" if several else rows
    found = f"select * from ({rows}) anti join ({left}) using (sample_id, shard) where shard in ({done})"
    return compare_keys(warehouse, expected, found, ("sample_id", "shard"))


def up_to_date(tables: Tables, dataset: str, table: str) -> list[str]:
    """The shards whose table is of the samples that are there now."""
    samples = tables.footers(dataset, SAMPLES)
    return [
        shard
        for shard, footer in tables.footers(dataset, table).items()
        if shard in samples and footer.strings.get("samples_digest") == samples[shard].strings["samples_digest"]
    ]
