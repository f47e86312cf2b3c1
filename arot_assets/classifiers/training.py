"""From labels and a split to a stored model, unless there is one from the same inputs; and which model scores then.

Belongs here: skipping a training when nothing changed, handing it to the engine, storing what it gives. Does not belong here: the
training itself (``training_unit.py``), judging (``judging.py``).

Whatever engine trains, this process alone writes the model: its files first, the pointers last.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from arot_assets.classifiers import news
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.evaluation import Evaluation
from arot_assets.classifiers.inputs import usable_inputs
from arot_assets.classifiers.judging import ABOUT, EVALUATION, JudgedModel
from arot_assets.classifiers.labels import labels_digest
from arot_assets.classifiers.promotion import Decision, Pointer, classifier_file, latest, note, now, read_json
from arot_assets.classifiers.trainers import TrainingError
from arot_assets.classifiers.training_unit import LABELS, SPLIT, StoredCheckpoint, TrainingUnit, train_unit
from arot_assets.datasets.forgotten import forgotten
from arot_assets.datasets.nodes import meet
from arot_assets.datasets.places import seen_by_all
from arot_assets.progress import track
from resources.compute import Needs
from resources.defaults import Resources
from resources.tables import Tables

log = logging.getLogger("arot")


@dataclass(frozen=True)
class Training:
    """The result of a training.

    Attributes:
        pointer: the model that is now the latest.
        evaluation: on the test set.
        about: facts about the training, as in ``about.json``.
        sheet: a JPEG of the worst mistakes, None without mistakes.
        trained: False if it existed already, from the same inputs; its sheet is in its report.
        waits: why there was no other training although labels changed, in words.
    """

    pointer: Pointer
    evaluation: Evaluation
    about: Mapping[str, Any]
    sheet: bytes | None = None
    trained: bool = True
    waits: str = ""


def train(declaration: ClassifierDeclaration, resources: Resources, patient: bool = False) -> Training:
    """Train and store a model from the labels and the split in the store, unless the latest one was made from the same labels,
    inputs and settings.

    Args:
        declaration: what to train.
        resources: the store, the images, the weights that a backbone starts from, and the engine that trains.
        patient: whether it waits for as many new ratings as ``start_after`` says.

    Raises:
        LabelError: there is nothing to train from.
        TrainingError: a class has no training samples, or nothing finite came out.
        ComputeError: the engine cannot be used.
    """
    name, tables = declaration.name, resources.tables
    labels = tables.read(classifier_file(name, LABELS))
    with resources.warehouse.connect() as con:
        usable = usable_inputs(con, declaration, labels)
    before = latest(tables, name)
    waiting = news.waits(tables, declaration, labels, usable) if patient else ""
    if before is not None and (before.inputs == usable.digest or waiting):
        evaluation = Evaluation.from_json(read_json(tables, name, before.digest, EVALUATION))
        about = read_json(tables, name, before.digest, ABOUT)
        return Training(before, evaluation, about, trained=False, waits=waiting)
    unit = TrainingUnit(usable, labels_digest(labels), news.heard_with(tables, name))
    made = _on_engine(declaration, resources, unit)
    checkpoint = StoredCheckpoint(tables, name, usable.digest)
    if gone := {*forgotten(tables)}.intersection(made.rows["sample_id"].to_pylist()):
        checkpoint.clear()
        raise TrainingError(
            f"{name}: {len(gone)} of its samples were taken down while it was trained; it is not kept, run it again"
        )
    _store(tables, name, made)
    checkpoint.clear()
    evaluation = Evaluation.from_json(json.loads(made.files[EVALUATION]))
    return Training(made.pointer, evaluation, json.loads(made.files[ABOUT]), made.sheet)


def _on_engine(declaration: ClassifierDeclaration, resources: Resources, unit: TrainingUnit) -> JudgedModel:
    r, compute = resources, resources.compute
    work = partial(train_unit, r.storage, r.warehouse, r.models, declaration)
    if not compute.is_local:
        log.info(
            "classifier %s: a machine of the Ray cluster trains it; its epochs are in the report", declaration.name
        )
    sources = [] if declaration.columns else seen_by_all(r.tables, [declaration.dataset])
    meet(compute, r.tables, needs := Needs(device=not declaration.columns), sources)
    # what this process does itself, the trainer reports epoch by epoch
    shown = nullcontext() if compute.is_local else track(f"classifier {declaration.name}: training on Ray")
    with shown, closing(compute.map(work, [unit], needs)) as results:
        ((_, made),) = results
    return made


def _store(tables: Tables, name: str, made: JudgedModel) -> None:
    digest = made.pointer.digest
    for file, content in made.files.items():
        tables.write_bytes(content, classifier_file(name, digest, file))
    tables.write(made.rows, classifier_file(name, digest, SPLIT))
    # decisions are in the order of this process's clock
    note(tables, name, made.pointer, replace(made.decision, at=now()))


def decision_rows(found: Sequence[Decision]) -> list[dict[str, Any]]:
    """Decisions for users, the last one first."""
    return [
        {k: v for k, v in asdict(one).items() if k in ("at", "digest", "choice", "reason", "against")}
        for one in reversed(found)
    ]
