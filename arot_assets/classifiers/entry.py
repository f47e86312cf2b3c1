"""A trained model as an entry of the catalogue: its weights are in the store, and the ordinary pass scores with it.

Belongs here: writing an entry beside a model's files and reading it back; the metric of the model that is promoted. Does not
belong here: which one that is (``promotion.py``).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa

from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.promotion import ROOT, classifier_file, current, latest, read_json
from arot_assets.classifiers.tasks import Task
from arot_assets.classifiers.trainers import ModelFiles
from arot_assets.metrics.metric import Column, Metric, rows
from arot_assets.metrics.of_entry import metric_of, output_columns
from resources.models.entries import add_entry, entry_of
from resources.models.entry import ModelEntry
from resources.tables import SAMPLES, Tables

ENTRY = "entry.json"
NO_MODEL = "no promoted model: "


def entry_facts(
    declaration: ClassifierDeclaration, task: Task, exported: ModelFiles, folder: Path, trained_on: str, licence: str
) -> dict[str, Any]:
    """The fields of an entry, without where its weights are.

    Args:
        declaration: names and describes it.
        task: what its numbers mean.
        exported: its files.
        folder: where they are.
        trained_on: the ``metric_version`` of the vectors of a head; empty for pixels.
        licence: of what it was trained from.
    """
    options = {**exported.options, **({"trained_on": trained_on} if trained_on else {})}
    return {
        "name": declaration.name,
        "family": exported.family,
        "files": {file: hashlib.sha256((folder / file).read_bytes()).hexdigest() for file in sorted(exported.files)},
        "outputs": [_said(asdict(output)) for output in task.outputs(_meaning(declaration))],
        "licence": licence,
        "parameters": exported.parameters,
        "reference": "its own report, report.html beside the weights",
        "preprocessing": None if exported.preprocessing is None else _said(asdict(exported.preprocessing)),
        "takes": exported.takes,
        "description": _description(declaration),
        "options": options,
    }


def digest_of(facts: Mapping[str, Any]) -> str:
    """12 hex digits over what a model computes; not its prose, and not when it was made."""
    counted = {k: v for k, v in facts.items() if k not in ("description", "reference", "licence")}
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:12]


def load_entry(tables: Tables, name: str, digest: str) -> ModelEntry:
    """The entry of a stored model.

    Raises:
        ModelError: its file is no entry.
    """
    facts = read_json(tables, name, digest, ENTRY)
    place = tables.uri(classifier_file(name, digest))
    files = facts.pop("files")
    return entry_of({**facts, "weights": {"uri": place, "files": files}}, f"{place}/{ENTRY}")


def promoted_entry(tables: Tables, name: str) -> ModelEntry | None:
    """The entry of the promoted model, known to the catalogue from now on; None if there is none."""
    pointer = current(tables, name)
    if pointer is None:
        return None
    entry = load_entry(tables, name, pointer.digest)
    add_entry(entry)
    return entry


def add_promoted(tables: Tables) -> None:
    """Let the catalogue of this process know every promoted model of a store."""
    for name in tables.list(ROOT):
        promoted_entry(tables, name)


def score_metric(tables: Tables, declaration: ClassifierDeclaration) -> Metric:
    """The table of scores: the metric of the promoted model's entry.

    Without a promoted model, every row fails with that reason.
    """
    entry = promoted_entry(tables, declaration.name)
    if entry is not None:
        return metric_of(entry)
    last = latest(tables, declaration.name)
    why = NO_MODEL + (last.missed if last else "none was trained")
    columns = score_columns(declaration, last.classes if last else ())
    names = [column.name for column in columns]
    takes = rows(*declaration.columns[:1]) if declaration.columns else rows(f"{SAMPLES}.uri")
    return Metric(
        declaration.name,
        "1",
        _description(declaration),
        columns,
        params={"model": why},
        takes=takes,
        compute_rows=lambda table: {**{n: pa.nulls(table.num_rows) for n in names}, "reason": [why] * table.num_rows},
    )


def score_columns(declaration: ClassifierDeclaration, classes: tuple[str, ...] = ()) -> tuple[Column, ...]:
    """The columns of the scores, as far as the classes are known."""
    loss = (
        "cross_entropy" if declaration.task == "classification" else "corn" if declaration.task == "ordinal" else "bce"
    )
    known = classes or tuple(declaration.labels.classes or ())
    if declaration.task in ("classification", "multi_label"):
        known = tuple(sorted(known))
    task = Task(declaration.task, known, "mse" if declaration.task == "regression" else loss)  # type: ignore[arg-type]
    outputs = task.outputs(_meaning(declaration)) if known or declaration.task == "regression" else ()
    return tuple(column for output in outputs for column in output_columns(output))


def _meaning(declaration: ClassifierDeclaration) -> str:
    if declaration.task == "classification":
        return "the class"
    return declaration.description.rstrip(".") or f"the score of {declaration.name}"


def _description(declaration: ClassifierDeclaration) -> str:
    from_what = "the images" if not declaration.columns else f"stored embeddings ({', '.join(declaration.tables)})"
    return f"Scores of the model `{declaration.name}` for every sample, from {from_what}. {declaration.description}".strip()


def _said(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Without what says nothing."""
    return {k: list(v) if isinstance(v, tuple) else v for k, v in fields.items() if v is not None}
