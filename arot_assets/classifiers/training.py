"""From labels and a split to a stored model: fit, calibrate, measure, compare, report, promote.

Belongs here: the order of these steps, and skipping them when nothing changed.
Does not belong here: any of the steps themselves.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.classifiers import baselines, calibration, news
from arot_assets.classifiers.contest import ModelComparison, below_gate, compare
from arot_assets.classifiers.data import Data, read_data, slices_of
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.entry import ENTRY, digest_of, entry_facts, load_entry
from arot_assets.classifiers.evaluate import evaluate
from arot_assets.classifiers.evaluation import Calibration, Evaluation
from arot_assets.classifiers.inputs import scratch, usable_inputs
from arot_assets.classifiers.labels import labels_digest
from arot_assets.classifiers.predicting import PredictionError, predict
from arot_assets.classifiers.promotion import (
    CHECKPOINTS,
    CURVES,
    Decision,
    Pointer,
    classifier_file,
    current,
    latest,
    note,
    now,
    read_json,
)
from arot_assets.classifiers.recipes import HeadSettings, get_recipe
from arot_assets.classifiers.report import html_report, mistake_sheet
from arot_assets.classifiers.split import SPLITS
from arot_assets.classifiers.tasks import Predictions, Task
from arot_assets.classifiers.trainers import FittedModel
from arot_assets.classifiers.trainers.pairs import divided, share_right
from arot_assets.datasets.places import place_of
from arot_assets.progress import track
from resources.models import Models
from resources.storage import Storage
from resources.storage.objects import is_local, local_path
from resources.tables import Tables
from resources.warehouse import Warehouse
from resources.warehouse.views import quote


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


@dataclass(frozen=True)
class StoredCheckpoint:
    """An unfinished training in the store: it belongs to the inputs it was begun with, and to no others."""

    tables: Tables
    name: str
    inputs: str

    def load(self) -> bytes | None:
        """See ``Checkpoints.load``."""
        place = classifier_file(self.name, CHECKPOINTS, f"{self.inputs}.pt")
        return self.tables.read_bytes(place) if self.tables.exists(place) else None

    def save(self, state: bytes) -> None:
        """See ``Checkpoints.save``."""
        self.tables.write_bytes(state, classifier_file(self.name, CHECKPOINTS, f"{self.inputs}.pt"))

    def clear(self) -> None:
        """The training is finished."""
        place = classifier_file(self.name, CHECKPOINTS, f"{self.inputs}.pt")
        if self.tables.exists(place):
            self.tables.storage.delete(self.tables.uri(place))


def train(
    declaration: ClassifierDeclaration,
    labels: pa.Table,
    split: pa.Table,
    storage: Storage,
    warehouse: Warehouse,
    models: Models,
    patient: bool = False,
) -> Training:
    """Train and store a model, unless the latest one was made from the same labels, inputs and settings.

    Args:
        declaration: what to train.
        labels: as ``labels.SCHEMA``.
        split: as ``split.SCHEMA``, of these labels.
        storage: reaches the images.
        warehouse: over the store.
        models: settings of devices, and the weights that a backbone starts from.
        patient: whether it waits for as many new ratings as ``start_after`` says.

    Raises:
        LabelError: there is nothing to train from.
        TrainingError: a class has no training samples, or nothing finite came out.
    """
    name, tables = declaration.name, warehouse.tables
    with warehouse.connect() as con:
        usable = usable_inputs(con, declaration, labels)
    before = latest(tables, name)
    waiting = news.waits(tables, declaration, labels, usable) if patient else ""
    if before is not None and (before.inputs == usable.digest or waiting):
        evaluation = Evaluation.from_json(read_json(tables, name, before.digest, "evaluation.json"))
        about = read_json(tables, name, before.digest, "about.json")
        return Training(before, evaluation, about, trained=False, waits=waiting)
    said_by_now = news.heard_with(tables, name)
    checkpoint = StoredCheckpoint(tables, name, usable.digest)
    with scratch() as folder:
        data = read_data(declaration, labels, split, usable, storage, warehouse, models, checkpoint, folder)
        fitted = _fit(declaration, data, checkpoint)
        result = _judged(
            declaration, labels, split, data, fitted, usable.digest, said_by_now, storage, warehouse, models, folder
        )
    checkpoint.clear()
    return result


def _fit(declaration: ClassifierDeclaration, data: Data, checkpoint: StoredCheckpoint) -> FittedModel:
    job, settings = data.job, declaration.trained_with
    title = f"classifier {declaration.name}: epochs over {len(job.train):,} samples"
    if isinstance(settings, HeadSettings):
        from arot_assets.classifiers.trainers import heads

        with track(title, heads.epochs_of(settings, heads.learnt_of(job))) as advance:
            return heads.train(job, advance)
    from arot_assets.classifiers.trainers import backbone

    # a store elsewhere has no folder that a tracker could write to
    curves = checkpoint.tables.uri(classifier_file(declaration.name, CURVES))
    job = replace(job, log=Path(local_path(curves)) if is_local(curves) else None)
    with track(title, settings.epochs) as advance:
        return backbone.train(job, advance)


def _judged(
    declaration: ClassifierDeclaration,
    labels: pa.Table,
    split: pa.Table,
    data: Data,
    fitted: FittedModel,
    inputs: str,
    heard: news.Heard,
    storage: Storage,
    warehouse: Warehouse,
    models: Models,
    folder: Path,
) -> Training:
    """Calibrate, measure, compare, report and store a model that was fitted."""
    task, job, tables, name = data.job.task, data.job, warehouse.tables, declaration.name
    on_val, on_test = fitted.logits(job.val), fitted.logits(data.test)
    temperature = calibration.temperature_of(task, on_val, job.targets.values[job.val])
    made = folder / "model"
    made.mkdir()
    facts = entry_facts(
        declaration, task, fitted.export(made, temperature), made, data.trained_on(fitted), data.licence
    )
    digest = digest_of(facts)
    truth, found = job.targets.values[data.test], task.predictions(on_test / temperature)
    test_ids, groups = [data.ids[k] for k in data.test], [data.groups[k] for k in data.test]
    evaluation = evaluate(
        task,
        test_ids,
        truth,
        found,
        groups,
        slices=slices_of(warehouse, declaration, test_ids),
        baselines=baselines.predictions(warehouse, declaration, data),
        calibration=_calibration(task, on_val, on_test, job.targets.values, job.val, data.test, temperature),
        seed=declaration.split.seed,
    )
    champion = current(tables, name)
    comparison, apart = _against(declaration, data, champion.digest if champion else "", found, warehouse, models)
    missed = below_gate(evaluation.figures, declaration.gate) or (comparison.refusal if comparison else "")
    if not missed and declaration.promotion == "manual":
        missed = f"promotion is manual: `arot promote {name} {digest}`"
    about = _about(declaration, labels, data, fitted, inputs, temperature, missed) | {"digest": digest}
    about["compared"] = str(comparison) if comparison else apart
    about |= _comparisons(data, fitted)
    about |= {news.HEARD: dict(heard), "unused": labels.num_rows - sum(about["samples"].values())}
    mistaken = [mistake.sample_id for mistake in evaluation.mistakes]
    place = place_of(storage, warehouse, declaration.dataset, mistaken)
    sheet = mistake_sheet(place, evaluation, _uris(warehouse, declaration.dataset, mistaken))
    for file in facts["files"]:
        tables.write_bytes((made / file).read_bytes(), classifier_file(name, digest, file))
    tables.write(_rows(data, split), classifier_file(name, digest, "split.parquet"))
    page = html_report(declaration, evaluation, about, fitted.curves, sheet, missed)
    for file, content in {
        "about.json": json.dumps(about, indent=2).encode(),
        "evaluation.json": json.dumps(evaluation.as_json(), indent=2).encode(),
        "report.html": page,
        ENTRY: json.dumps(facts, indent=2, sort_keys=True).encode(),
    }.items():
        tables.write_bytes(content, classifier_file(name, digest, file))
    pointer = Pointer(digest, inputs, task.classes, missed)
    note(tables, name, pointer, _decision(pointer, champion.digest if champion else "", evaluation, comparison, apart))
    return Training(pointer, evaluation, about, sheet)


def _against(
    declaration: ClassifierDeclaration,
    data: Data,
    champion: str,
    found: Predictions,
    warehouse: Warehouse,
    models: Models,
) -> tuple[ModelComparison | None, str]:
    """The comparison with the model that scores now, or why there is none."""
    if not champion:
        return None, "no model scored before"
    tables, name, task = warehouse.tables, declaration.name, data.job.task
    about = read_json(tables, name, champion, "about.json")
    if about["task"] != task.kind or tuple(about["classes"]) != task.classes:
        return (
            None,
            f"model {champion} answers another question: {about['task']} of {', '.join(about['classes']) or 'numbers'}",
        )
    learnt = tables.read(classifier_file(name, champion, "split.parquet"))
    not_new = {
        s
        for s, part in zip(learnt["sample_id"].to_pylist(), learnt["split"].to_pylist(), strict=True)
        if part != "test"
    }
    places = np.array([k for k, row in enumerate(data.test) if data.ids[row] not in not_new], np.int64)
    if not len(places):
        return None, f"model {champion} was trained on every test sample of this one"
    try:
        logits = predict(load_entry(tables, name, champion), data, data.test[places], models)
    except PredictionError as error:
        return None, f"model {champion} cannot be compared: {error}"
    other = Task(task.kind, task.classes, about["loss"]).predictions(logits)
    truth = data.job.targets.values[data.test[places]]
    groups = np.unique([data.groups[k] for k in data.test[places]], return_inverse=True)[1]
    return compare(task, declaration.gate, truth, found[places], other, groups, declaration.split.seed), ""


def _decision(
    pointer: Pointer, champion: str, evaluation: Evaluation, comparison: ModelComparison | None, apart: str
) -> Decision:
    figures = {name: [f.value, f.low, f.high] for name, f in evaluation.figures.items()}
    if comparison is not None:
        figures["difference"] = [comparison.difference.value, comparison.difference.low, comparison.difference.high]
    passed = "the gate is passed; " + (str(comparison) if comparison else apart)
    return Decision(
        now(), pointer.digest, "kept" if pointer.missed else "promoted", pointer.missed or passed, champion, figures
    )


def _about(
    declaration: ClassifierDeclaration,
    labels: pa.Table,
    data: Data,
    fitted: FittedModel,
    inputs: str,
    temperature: float,
    missed: str,
) -> dict[str, Any]:
    """What is kept about a training: everything that somebody asks who has to trust the model later."""
    recipe, job = get_recipe(declaration.recipe), data.job
    return {
        "classifier": declaration.name,
        "dataset": declaration.dataset,
        "description": declaration.description,
        "task": job.task.kind,
        "loss": job.task.loss,
        "classes": list(job.task.classes),
        "inputs": list(declaration.columns) or [f"pixels, from {declaration.backbone}"],
        "input_versions": dict(data.versions),
        "inputs_digest": inputs,
        "labels_digest": labels_digest(labels),
        "recipe": recipe.name,
        "recipe_source": recipe.source,
        "settings": declaration.trained_with.model_dump(),
        "settings_digest": news.settings_digest(declaration),
        "split": declaration.split.model_dump(),
        "chosen": dict(fitted.chosen),
        "temperature": temperature,
        "samples": {part: len(rows) for part, rows in zip(SPLITS, (job.train, job.val, data.test), strict=True)},
        "left_out": data.left_out,
        "gate": declaration.gate,
        "not_promoted": missed,
        "licence": data.licence,
        "created_at": now(),
    }


def _calibration(
    task: Task,
    on_val: NDArray[Any],
    on_test: NDArray[Any],
    values: NDArray[Any],
    val: NDArray[np.int64],
    test: NDArray[np.int64],
    temperature: float,
) -> Calibration | None:
    if task.kind == "regression":
        return None
    before = calibration.confidences(task, on_test, values[test])
    after = calibration.confidences(task, on_test / temperature, values[test])
    curve = calibration.isotonic_of(*calibration.confidences(task, on_val / temperature, values[val]))
    return Calibration(
        temperature,
        calibration.calibration_error(*before),
        calibration.calibration_error(*after),
        None if curve is None else calibration.calibration_error(curve(after[0]), after[1]),
        tuple(calibration.reliability(*after)),
    )


def _comparisons(data: Data, fitted: FittedModel) -> dict[str, Any]:
    """Of a model that learnt comparisons: how many were in each split, and the share right of those with a test sample."""
    job = data.job
    if job.pairs is None:
        return {}
    parts = divided(job.pairs, job.train, job.val, data.test)
    rows = np.unique(parts.test)
    scores = np.zeros(len(data.ids))
    scores[rows] = fitted.logits(rows)[:, 0]
    counts = {name: len(getattr(parts, name)) for name in SPLITS}
    return {"comparisons": {**counts, "test, in the right order": round(share_right(scores, parts.test), 4)}}


def _rows(data: Data, labelled: pa.Table) -> pa.Table:
    """Which samples the model has seen, as what, and with which label."""
    job, said = data.job, news.said(labelled)
    parts: Sequence[tuple[str, NDArray[np.int64]]] = (("train", job.train), ("val", job.val), ("test", data.test))
    return pa.table(
        {
            "sample_id": [data.ids[k] for _, rows in parts for k in rows],
            "group_id": [data.groups[k] for _, rows in parts for k in rows],
            "split": [name for name, rows in parts for _ in rows],
            "said": [said[k] for _, rows in parts for k in rows],
        }
    )


def _uris(warehouse: Warehouse, dataset: str, wanted: list[str]) -> dict[str, str]:
    with warehouse.connect() as con:
        query = (
            f"select sample_id, uri from {quote(dataset)}.samples where status = 'ok' and list_contains(?, sample_id)"
        )
        return dict(con.execute(query, [wanted]).fetchall())


def decision_rows(found: Sequence[Decision]) -> list[dict[str, Any]]:
    """Decisions for users, the last one first."""
    return [
        {k: v for k, v in asdict(one).items() if k in ("at", "digest", "choice", "reason", "against")}
        for one in reversed(found)
    ]
