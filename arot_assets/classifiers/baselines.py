"""What something trivial would say: without it no figure means anything.

Belongs here: the majority, the mean, and single columns of numbers. Does not belong here: measuring them (``evaluation.py``).

A column is given what it is worth: fitted on the training samples alone, as a line for numbers, and for classes as the
frequencies of the classes in each twentieth of its values.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.classifiers.data import Data
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.figures import spearman
from arot_assets.classifiers.label_query import LabelError
from arot_assets.classifiers.tasks import Predictions, Task
from resources.warehouse import Warehouse
from resources.warehouse.views import quote

PARTS = 20


def predictions(warehouse: Warehouse, declaration: ClassifierDeclaration, data: Data) -> dict[str, Predictions]:
    """What each baseline says of the test samples.

    Raises:
        LabelError: a declared column is not there.
    """
    task, train = data.job.task, data.job.train
    values = data.job.targets.values
    count = len(data.test)
    found: dict[str, Predictions] = {}
    if task.kind == "regression":
        found["mean"] = Predictions(None, np.full(count, values[train].astype(np.float64).mean()))
    else:
        frequencies = _frequencies(task, values[train])
        found["majority" if task.kind != "multi_label" else "frequencies"] = _always(task, frequencies, count)
    for name in declaration.baselines:
        asked = name if not name.endswith(".*") else _best_of(warehouse, declaration, name.split(".")[0], data)
        column = _column(warehouse, declaration, asked, data)
        found[asked] = _of_column(task, column, values, train, data.test)
    return found


def _best_of(warehouse: Warehouse, declaration: ClassifierDeclaration, table: str, data: Data) -> str:
    """The column of numbers that orders the training samples best, in either direction.

    Raises:
        LabelError: the table is not there, or has no column of numbers.
    """
    import duckdb

    dataset = quote(declaration.dataset)
    query = f"select * from {dataset}.{quote(table)} limit 0"
    with warehouse.connect(query) as con:
        try:
            schema = con.execute(query).to_arrow_table().schema
        except duckdb.Error as error:
            said = str(error).split("\n\nLINE ")[0]
            raise LabelError(f"{declaration.name}: baseline '{table}.*' cannot be read: {said}") from error
    train = data.job.train
    wanted = data.job.targets.values[train].astype(np.float64)
    strength: dict[str, float] = {}
    for column in schema:
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
            values = _column(warehouse, declaration, f"{table}.{column.name}", data)[train]
            there = np.isfinite(values)
            strength[column.name] = abs(np.nan_to_num(spearman(wanted[there], values[there]))) if there.any() else 0.0
    if not strength:
        raise LabelError(
            f"{declaration.name}: baseline '{table}.*': '{table}' has no column of numbers; name another table"
        )
    return f"{table}.{max(strength, key=lambda name: strength[name])}"


def _frequencies(task: Task, values: NDArray[np.generic]) -> NDArray[np.float32]:
    if task.kind == "multi_label":
        return np.asarray(values.mean(axis=0), np.float32)
    counts = np.bincount(values.astype(np.int64), minlength=len(task.classes))
    return np.asarray(counts / counts.sum(), np.float32)


def _always(task: Task, frequencies: NDArray[np.float32], count: int) -> Predictions:
    rows = np.repeat(frequencies[None], count, axis=0)
    scores = rows.astype(np.float64) @ np.asarray(task.values()) if task.kind == "ordinal" else None
    return Predictions(rows, scores)


def _column(warehouse: Warehouse, declaration: ClassifierDeclaration, name: str, data: Data) -> NDArray[np.float64]:
    import duckdb

    table, column = name.split(".")
    wanted = pa.table({"sample_id": pa.array(data.ids, pa.string()), "place": range(len(data.ids))})
    query = (
        f"select place, any_value({quote(column)}::double) from wanted left join {quote(declaration.dataset)}.{quote(table)} "
        "using (sample_id) group by place order by place"
    )
    with warehouse.connect(query) as con:
        con.register("wanted", wanted)
        try:
            rows = con.execute(query).fetchall()
        except duckdb.Error as error:
            said = str(error).split("\n\nLINE ")[0]
            raise LabelError(f"{declaration.name}: baseline '{name}' cannot be read: {said}") from error
    return np.array([np.nan if row[1] is None else row[1] for row in rows], np.float64)


def _of_column(
    task: Task,
    column: NDArray[np.float64],
    values: NDArray[np.generic],
    train: NDArray[np.int64],
    test: NDArray[np.int64],
) -> Predictions:
    there = train[np.isfinite(column[train])]
    middle = float(np.median(column[there])) if len(there) else 0.0
    filled = np.where(np.isfinite(column), column, middle)
    if task.kind == "regression":
        numbers = values[train].astype(np.float64)
        slope, offset = np.polyfit(filled[train], numbers, 1) if np.ptp(filled[train]) > 0 else (0.0, numbers.mean())
        return Predictions(None, filled[test] * slope + offset)
    edges = np.unique(np.quantile(filled[train], np.linspace(0, 1, PARTS + 1)[1:-1]))
    parts, wanted = np.searchsorted(edges, filled[train]), np.searchsorted(edges, filled[test])
    overall = _frequencies(task, values[train])
    rows = np.stack(
        [
            _frequencies(task, values[train][parts == part]) if (parts == part).any() else overall
            for part in range(len(edges) + 1)
        ]
    )[wanted]
    scores = rows.astype(np.float64) @ np.asarray(task.values()) if task.kind == "ordinal" else None
    return Predictions(rows, scores)
