"""Whether the tables and columns that metrics of stored columns take are there.

Belongs here: holding such metrics to the other tables of their dataset. Does not belong here: where a declaration stands
(``arot_assets.declarations``), reading the tables (``rows.py``).
"""

from collections.abc import Collection, Iterator, Mapping

from arot_assets.columns import RESERVED
from arot_assets.errors import did_you_mean
from arot_assets.metrics.metric import Metric
from resources.tables import SAMPLES


def faults_of_inputs(
    dataset: str, metrics: Mapping[str, Metric], samples: Collection[str], made: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, str]]:
    """Each metric that cannot be computed, and why.

    Args:
        dataset: whose metrics.
        metrics: by name: all that the dataset asks for.
        samples: columns of its samples.
        made: other tables of the dataset (scores of classifiers), with the tables that those are made from.
    """
    columns = {m.name: [*RESERVED, *(c.name for c in m.columns)] for m in metrics.values()} | {SAMPLES: [*samples]}
    above: dict[str, Collection[str]] = {**made}
    for name, metric in metrics.items():
        if metric.rows is None:
            above[name] = ()
            continue
        above[name] = metric.rows.tables
        for table in metric.rows.tables:
            if table not in metrics and table not in made and table != SAMPLES:
                yield name, f"metric '{name}' takes '{table}': add it to the metrics of '{dataset}'"
            for column in metric.rows.of(table):
                if table in columns and column not in columns[table]:
                    hint = did_you_mean(column, columns[table])
                    yield name, f"metric '{name}' takes '{table}.{column}', and '{table}' has no such column.{hint}"
    for name in metrics:
        circle = way_back(name, above)
        if circle:
            yield name, f"metric '{name}' is made from itself: {' -> '.join(circle)}"


def way_back(name: str, above: Mapping[str, Collection[str]]) -> list[str]:
    """The way from a table by what it is made from back to itself; empty if there is none."""
    ways: list[list[str]] = [[name]]
    seen: set[str] = set()
    while ways:
        way = ways.pop()
        for table in above.get(way[-1], ()):
            if table == name:
                return [*way, table]
            if table not in seen:
                seen.add(table)
                ways.append([*way, table])
    return []
