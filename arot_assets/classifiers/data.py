"""Everything that a model is trained and judged on, read once.

Belongs here: from the split and the tables to a ``Job``, test rows, groups and slices. Does not belong here: the queries of
labels (``labels.py``) and of vectors (``inputs.py``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.inputs import TrainingInputs, read_vectors
from arot_assets.classifiers.label_classes import task_of
from arot_assets.classifiers.label_query import LabelError
from arot_assets.classifiers.split import SPLITS
from arot_assets.classifiers.tasks import Task
from arot_assets.classifiers.trainers import Checkpoints, FittedModel, Job, Targets
from arot_assets.classifiers.training_images import TrainingImages
from arot_assets.metrics.registry import get_metric, known_metrics
from resources.models import Models
from resources.models.entries import find_entry
from resources.storage import Storage
from resources.warehouse import Warehouse
from resources.warehouse.views import quote

OWN = "LicenseRef-own"
"""The licence of a model of vectors that come from no model of the catalogue."""
RESOLUTION = (
    "case when width * height < 262144 then 'below 0.26 MP' when width * height < 1048576 then '0.26 to 1 MP' "
    "when width * height < 4194304 then '1 to 4 MP' else '4 MP and more' end"
)
SLICES = {"resolution": RESOLUTION}
"""Slices that every model of images has."""


@dataclass(frozen=True)
class Data:
    """What a model is trained and judged on.

    Attributes:
        job: the training, its rows numbered as ``ids``.
        ids, groups: of each row.
        test: ``int64``, rows.
        versions: table -> ``metric_version`` of its vectors.
        left_out: labelled samples without usable inputs.
        licence: of what it is trained from.
        pictures: the images, where it is trained on pixels.
    """

    job: Job
    ids: Sequence[str]
    groups: Sequence[str]
    test: NDArray[np.int64]
    versions: Mapping[str, str]
    left_out: int
    licence: str
    pictures: TrainingImages | None = None

    def trained_on(self, fitted: FittedModel) -> str:
        """The version of the vectors that a head was trained on; empty for pixels."""
        column = str(fitted.chosen.get("input", ""))
        return self.versions[column.split(".")[0]] if column else ""


def read_data(
    declaration: ClassifierDeclaration,
    labels: pa.Table,
    split: pa.Table,
    usable: TrainingInputs,
    storage: Storage,
    warehouse: Warehouse,
    models: Models,
    checkpoints: Checkpoints,
    folder: Path,
) -> Data:
    """Read the inputs of a training.

    Args:
        declaration: what to train.
        labels: as ``labels.SCHEMA``.
        split: as ``split.SCHEMA``.
        usable: versions of the tables.
        storage: reaches the images.
        warehouse: over the store.
        models: the weights that a backbone starts from.
        checkpoints: where the training can be continued from.
        folder: for memory-mapped vectors.

    Raises:
        LabelError: no sample, or a split without any.
    """
    task = task_of(declaration, labels)
    ids = split["sample_id"].to_pylist()
    there = np.ones(len(ids), np.bool_)
    vectors: dict[str, NDArray[Any]] = {}
    for column in declaration.columns:
        version = usable.versions[column.split(".")[0]]
        vectors[column], has = read_vectors(
            warehouse.tables, declaration, column, version, ids, folder / f"{column}.npy"
        )
        there &= has
    pictures = None
    if not declaration.columns:
        pictures = TrainingImages.of(storage, warehouse, declaration.dataset, ids)
        there &= pictures.there()
    part = np.array(split["split"].to_pylist())
    train, val, test = (np.flatnonzero((part == name) & there) for name in SPLITS)
    for name, rows in zip(SPLITS, (train, val, test), strict=True):
        if not len(rows):
            raise LabelError(f"{declaration.name}: no sample of the split {name} has an input: label more samples")
    job = Job(
        declaration.name,
        task,
        declaration.trained_with,
        targets_of(task, split),
        train,
        val,
        checkpoints,
        vectors,
        pictures,
        _backbone(declaration, models),
        pairs=pairs_of(split) if declaration.labels.pairs else None,
    )
    versions = {table: usable.versions[table] for table in declaration.tables}
    return Data(
        job, ids, split["group_id"].to_pylist(), test, versions, int((~there).sum()), _licence(declaration), pictures
    )


def _backbone(declaration: ClassifierDeclaration, models: Models) -> Any:
    if declaration.backbone is None:
        return None
    from arot_assets.classifiers.trainers.networks import Base

    entry = find_entry(declaration.backbone)
    return Base(entry, models.files.verified(entry), models.device)


def _licence(declaration: ClassifierDeclaration) -> str:
    """The licences of the models that its inputs come from."""
    models: list[str | None] = [declaration.backbone]
    models += [get_metric(table).model for table in declaration.tables if table in known_metrics()]
    found = sorted({find_entry(name).licence for name in models if name})
    return " AND ".join(found) or OWN


def targets_of(task: Task, split: pa.Table) -> Targets:
    """Labels as numbers."""
    weights = split["weight"].fill_null(1.0).to_numpy().astype(np.float32)
    if task.kind == "regression":
        return Targets(split["value"].to_numpy().astype(np.float32), weights)
    if task.kind == "multi_label":
        place = {name: k for k, name in enumerate(task.classes)}
        values = np.zeros((split.num_rows, len(place)), np.float32)
        for row, tags in enumerate(split["labels"].to_pylist()):
            values[row, [place[tag] for tag in tags]] = 1
        return Targets(values, weights)
    index = {name: k for k, name in enumerate(task.classes)}
    return Targets(np.array([index[text] for text in split["label"].to_pylist()], np.int64), weights)


def pairs_of(split: pa.Table) -> NDArray[np.int64]:
    """``int64 [P, 2]``: the comparisons between samples of a split, as rows of it, the preferred one first."""
    place = {sample: row for row, sample in enumerate(split["sample_id"].to_pylist())}
    found = [
        (row, place[other])
        for row, others in enumerate(split["preferred_to"].to_pylist())
        for other in others or ()
        if other in place
    ]
    return np.array(found, np.int64).reshape(-1, 2)


def slices_of(
    warehouse: Warehouse, declaration: ClassifierDeclaration, sample_ids: Sequence[str]
) -> dict[str, list[str | None]]:
    """The value of each slice for some samples.

    Raises:
        LabelError: an expression cannot be computed.
    """
    import duckdb

    found: dict[str, list[str | None]] = {}
    wanted = pa.table({"sample_id": pa.array(sample_ids, pa.string()), "place": range(len(sample_ids))})
    for name, expression in {**SLICES, **declaration.slices}.items():
        with warehouse.connect(f"select * from {quote(declaration.dataset)}.wide") as con:
            con.register("sliced", wanted)
            try:
                rows = con.execute(
                    f"select place, any_value(value) from sliced left join (select sample_id, ({expression})::varchar as value "
                    f"from {quote(declaration.dataset)}.wide) using (sample_id) group by place order by place"
                ).fetchall()
            except duckdb.Error as error:
                said = str(error).split("\n\nLINE ")[0]
                raise LabelError(f"{declaration.name}: slice '{name}' cannot be computed: {said}") from error
        found[name] = [row[1] for row in rows]
    return found
