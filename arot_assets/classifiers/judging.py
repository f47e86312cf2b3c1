"""What is found out about a model that was fitted: calibrated, measured, compared, reported; its files, before they are stored.

Belongs here: the order of these steps. Does not belong here: the steps themselves, fitting (``training_unit.py``), writing to the
store (``training.py``).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from arot_assets.classifiers import baselines, calibration, news
from arot_assets.classifiers.contest import ModelComparison, below_gate, compare
from arot_assets.classifiers.data import Data, slices_of
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.entry import ENTRY, digest_of, entry_facts, load_entry
from arot_assets.classifiers.evaluate import evaluate
from arot_assets.classifiers.evaluation import Calibration, Evaluation
from arot_assets.classifiers.labels import labels_digest
from arot_assets.classifiers.predicting import PredictionError, predict
from arot_assets.classifiers.promotion import Decision, Pointer, classifier_file, current, now, read_json
from arot_assets.classifiers.recipes import get_recipe
from arot_assets.classifiers.report import html_report, mistake_sheet
from arot_assets.classifiers.split import SPLITS
from arot_assets.classifiers.tasks import Predictions, Task
from arot_assets.classifiers.trainers import FittedModel
from arot_assets.classifiers.trainers.pairs import divided, share_right
from arot_assets.datasets.places import place_of
from resources.models import Models
from resources.storage import Storage
from resources.warehouse import Warehouse
from resources.warehouse.views import quote

ABOUT, EVALUATION = "about.json", "evaluation.json"


@dataclass(frozen=True)
class JudgedModel:
    """A model that was trained and judged, of which nothing is in the store yet: plain data, which any engine can hand on.

    Attributes:
        files: name -> content, of its folder: safetensors, entry, evaluation, report and facts.
        rows: which samples it has seen, as what: its ``split.parquet``.
        pointer: to it.
        decision: whether it is to score, and why.
        sheet: a JPEG of the worst mistakes, None without mistakes.
    """

    files: dict[str, bytes]
    rows: pa.Table
    pointer: Pointer
    decision: Decision
    sheet: bytes | None


def judged(
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
) -> JudgedModel:
    """Calibrate, measure, compare and report a model that was fitted.

    Args:
        declaration: what was trained.
        labels: as ``labels.SCHEMA``.
        split: as ``split.SCHEMA``.
        data: what it was trained on, and the test samples.
        fitted: the model.
        inputs: digest of what it was trained from.
        heard: what ratings had said when the labels were read.
        storage: reaches the images.
        warehouse: over the store, with the model that scores now.
        models: runs that model, for the comparison.
        folder: local, for the files of the model.
    """
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
    page = html_report(declaration, evaluation, about, fitted.curves, sheet, missed)
    files = {
        **{file: (made / file).read_bytes() for file in facts["files"]},
        ABOUT: json.dumps(about, indent=2).encode(),
        EVALUATION: json.dumps(evaluation.as_json(), indent=2).encode(),
        "report.html": page,
        ENTRY: json.dumps(facts, indent=2, sort_keys=True).encode(),
    }
    pointer = Pointer(digest, inputs, task.classes, missed)
    decision = _decision(pointer, champion.digest if champion else "", evaluation, comparison, apart)
    return JudgedModel(files, _rows(data, split), pointer, decision, sheet)


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
