"""How tables and numbers are shown in the Dagster UI.

Belongs here: Arrow schemas and small tables as Dagster metadata values. Does not belong here: images (``drawing.py``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa

from arot_assets.markdown import write_table
from arot_assets.pace import Pace

COLUMN_SCHEMA = "dagster/column_schema"
ROW_COUNT = "dagster/row_count"
MOST_COUNTS = 20


def column_schema(schema: pa.Schema) -> dg.TableSchema:
    """An Arrow schema as the UI shows it: names, types (``list<string>``), and the descriptions of the field metadata."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                f.name,
                str(f.type).replace("item: ", ""),
                description=(f.metadata or {}).get(b"description", b"").decode() or None,
            )
            for f in schema
        ]
    )


def pace_metadata(pace: Pace) -> dict[str, dg.MetadataValue]:
    """How fast a step works when one of its shards is finished, and what that costs, as far as it is known."""
    if not pace.items:
        return {}
    cost = pace.cost_per_thousand
    money = {} if cost is None else {"cost per 1,000": dg.MetadataValue.float(float(f"{cost:.3g}"))}
    busy = pace.gpu_utilization
    gpu = {} if busy is None else {"GPU utilization, %": dg.MetadataValue.float(busy)}
    return {f"{pace.of}/s": dg.MetadataValue.float(round(pace.rate, 1)), **gpu, **money}


def machine_metadata(machine: str) -> dict[str, dg.MetadataValue]:
    """Which machine of a cluster made a shard; nothing for work of this process."""
    return {"machine": dg.MetadataValue.text(machine)} if machine else {}


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> dg.MarkdownMetadataValue:
    """Rows of one shape as a Markdown table; “none” without rows."""
    if not rows:
        return dg.MetadataValue.md("none")
    head = list(rows[0])
    return dg.MetadataValue.md(write_table(head, ([row[name] for name in head] for row in rows)))


def count_table(
    counts: Mapping[str, int], of: str, counted: str = "rows", most: int | None = MOST_COUNTS
) -> dg.MarkdownMetadataValue:
    """Counts as a table, the largest first; “none” without any.

    Args:
        counts: by what they are of.
        of: title of its column.
        counted: title of the counts' column.
        most: how many are shown; None for all.
    """
    largest = sorted(counts.items(), key=lambda count: -count[1])[:most]
    return markdown_table([{of: name, counted: number} for name, number in largest])
