"""From a split to a stored head: fit, measure, report, promote.

Belongs here: the order of these steps, and skipping them when nothing changed.
Does not belong here: any of the steps themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.evaluation import Evaluation, evaluate
from arot_assets.classifiers.head import Head, fit_head
from arot_assets.classifiers.inputs import read_vectors, usable_inputs
from arot_assets.classifiers.labels import labels_digest
from arot_assets.classifiers.promotion import Pointer, gate, latest, load_head, store_head
from arot_assets.classifiers.report import html_report, mistake_sheet
from arot_assets.classifiers.split import SPLITS
from arot_assets.datasets.places import place_of
from arot_assets.progress import track
from resources.storage import Storage
from resources.tables import Tables
from resources.warehouse import Warehouse
from resources.warehouse.views import quote


@dataclass(frozen=True)
class Training:
    """The result of a training.

    Attributes:
        pointer: the head that is now the latest.
        evaluation: on the test set.
        l2: the chosen penalty.
        rows: split -> samples used.
        sheet: a JPEG of the worst mistakes, None without mistakes.
        trained: False if it existed already, from the same inputs; its sheet is in its report.
    """

    pointer: Pointer
    evaluation: Evaluation
    l2: float
    rows: Mapping[str, int]
    sheet: bytes | None = None
    trained: bool = True


def train(
    declaration: ClassifierDeclaration, split: pa.Table, storage: Storage, tables: Tables, warehouse: Warehouse
) -> Training:
    """Train and store a head, unless the latest one was made from the same labels, embeddings and settings.

    Raises:
        LabelError: there is nothing to train from.
        HeadError: a class has no training samples.
    """
    name = declaration.name
    with warehouse.connect() as con:
        usable = usable_inputs(con, declaration, split)
    before = latest(tables, name)
    if before is not None and before.inputs == usable.digest:
        known = load_head(tables, name, before.digest)
        evaluation = Evaluation.from_json(known.classes, known.info["test"])
        return Training(before, evaluation, known.info["l2"], known.info["samples"], trained=False)
    label_of = dict(zip(split["sample_id"].to_pylist(), split["label"].to_pylist(), strict=True))
    sample_ids, matrix = read_vectors(tables, declaration, usable.embedding_version, list(label_of))
    classes = sorted(set(label_of.values()))
    labels = np.array([classes.index(label_of[s]) for s in sample_ids], np.int64)
    split_of = dict(zip(split["sample_id"].to_pylist(), split["split"].to_pylist(), strict=True))
    groups = dict(zip(split["sample_id"].to_pylist(), split["group_id"].to_pylist(), strict=True))
    part = {p: np.flatnonzero([split_of[s] == p for s in sample_ids]) for p in SPLITS}
    with track(
        f"classifier {name}: fitting {len(part['train']):,} x {matrix.shape[1]}", len(declaration.l2)
    ) as advance:
        fit = fit_head(
            *(matrix[part["train"]], labels[part["train"]], matrix[part["val"]], labels[part["val"]]),
            n_classes=len(classes),
            l2_grid=declaration.l2,
            balanced=declaration.class_balanced,
            advance=advance,
        )
    test_ids = [sample_ids[k] for k in part["test"]]
    bare = Head(tuple(classes), fit.weight, fit.bias, declaration.embedding, usable.embedding_version)
    evaluation = evaluate(
        classes,
        test_ids,
        labels[part["test"]],
        bare.probabilities(matrix[part["test"]]),
        [groups[s] for s in test_ids],
        declaration.split.seed,
    )
    missed = gate(evaluation, declaration.promote_if)
    rows = {p: len(part[p]) for p in SPLITS}
    info: dict[str, Any] = {
        "classifier": name,
        "dataset": declaration.dataset,
        "inputs_digest": usable.digest,
        "labels_digest": labels_digest(split),
        "seed": declaration.split.seed,
        "l2": fit.l2,
        "validation_loss": {f"{l2:g}": loss for l2, loss in fit.validation_loss.items()},
        "samples": rows,
        "test": evaluation.as_json(),
        "not_promoted": missed,
        "created_at": datetime.now(UTC).isoformat(),
    }
    head = Head(bare.classes, bare.weight, bare.bias, bare.embedding, bare.embedding_version, info)
    mistaken = [mistake.sample_id for mistake in evaluation.mistakes]
    place = place_of(storage, warehouse, declaration.dataset, mistaken)
    sheet = mistake_sheet(place, evaluation, _uris(warehouse, declaration.dataset, mistaken))
    pointer = store_head(tables, name, head, html_report(head, evaluation, sheet, missed), usable.digest, missed)
    return Training(pointer, evaluation, fit.l2, rows, sheet)


def _uris(warehouse: Warehouse, dataset: str, wanted: list[str]) -> dict[str, str]:
    with warehouse.connect() as con:
        query = (
            f"select sample_id, uri from {quote(dataset)}.samples where status = 'ok' and list_contains(?, sample_id)"
        )
        return dict(con.execute(query, [wanted]).fetchall())
