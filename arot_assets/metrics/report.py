"""What the UI shows of a metric's shard: one small histogram per column.

Belongs here: choosing what is shown. Does not belong here: drawing (``drawing.py``), Dagster.
"""

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.metrics.table_builder import MetricTable


def shown_columns(metric: MetricTable) -> list[str]:
    """The columns that ``histogram_sheet`` needs: the status and the numeric columns, but neither hashes nor vectors."""
    numeric = [c for c in metric.columns if pa.types.is_floating(c.type) or pa.types.is_integer(c.type)]
    return ["status", *(c.name for c in numeric if not pa.types.is_uint64(c.type))]


def histogram_sheet(table: pa.Table, metric: MetricTable) -> str | None:
    """Histograms of ``shown_columns`` over the ok rows, as Markdown with an inline image; None if there are no columns."""
    from arot_assets.drawing import data_uri, histograms

    ok = table.filter(pc.equal(table["status"], "ok"))
    shown = {name: ok[name].drop_null().to_numpy().astype("float64") for name in shown_columns(metric)[1:]}
    shown = {name: values for name, values in shown.items() if len(values)}
    return f"![histograms]({data_uri(histograms(shown))})" if shown else None
