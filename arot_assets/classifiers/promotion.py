"""Where heads are stored, which one was trained last, and which one scores.

Belongs here: the layout below ``classifiers/<name>/`` and the gate. Does not belong here: fitting and evaluating.

    classifiers/<name>/<head digest>/head.safetensors, head.json, report.html
    classifiers/<name>/latest.json      the most recently trained head, and its inputs
    classifiers/<name>/current.json     the promoted head: its scores are the table

The two pointers are written last, each in one step, so they always point to complete heads. A head that fails the gate is kept
for inspection, while the previously promoted one continues to score.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from arot_assets.classifiers.evaluation import Evaluation
from arot_assets.classifiers.head import Head, from_files, to_files
from resources.tables import StoreFile, Tables

ROOT = "classifiers"


@dataclass(frozen=True)
class Pointer:
    """The content of ``latest.json`` and ``current.json``.

    Attributes:
        digest: the head's folder.
        inputs: digest of everything that it was trained from: labels, split, embeddings, settings.
        classes: names of its classes.
        missed: why it was not promoted, empty if it was.
    """

    digest: str
    inputs: str
    classes: tuple[str, ...]
    missed: str = ""


def classifier_file(name: str, *below: str) -> StoreFile:
    """A file of a classifier in the store."""
    return StoreFile("/".join([ROOT, name, *below]))


def gate(evaluation: Evaluation, promote_if: Mapping[str, float]) -> str:
    """Why a head must not score; empty if it may."""
    figures = {"accuracy": evaluation.accuracy.value, "macro_f1": evaluation.macro_f1.value}
    return "; ".join(
        f"{name} {figures[name]:.3f} is below {least:g}" for name, least in promote_if.items() if figures[name] < least
    )


def store_head(tables: Tables, name: str, head: Head, report: bytes, inputs: str, missed: str) -> Pointer:
    """Write a head, then the pointers.

    Args:
        tables: the store's tables.
        name: the classifier's name.
        head: the head.
        report: an HTML page.
        inputs: see ``Pointer``.
        missed: from ``gate``; a head that fails it is not promoted.
    """
    digest = head.digest()
    tensors, about = to_files(head)
    tables.write_bytes(tensors, classifier_file(name, digest, "head.safetensors"))
    tables.write_bytes(about, classifier_file(name, digest, "head.json"))
    tables.write_bytes(report, classifier_file(name, digest, "report.html"))
    pointer = Pointer(digest, inputs, head.classes, missed)
    data = json.dumps(asdict(pointer), indent=2).encode()
    if not missed:
        tables.write_bytes(data, classifier_file(name, "current.json"))
    tables.write_bytes(data, classifier_file(name, "latest.json"))
    return pointer


def latest(tables: Tables, name: str) -> Pointer | None:
    """The most recently trained head; None before the first."""
    return _pointer(tables, name, "latest.json")


def current(tables: Tables, name: str) -> Pointer | None:
    """The promoted head; None if there is none."""
    return _pointer(tables, name, "current.json")


def load_head(tables: Tables, name: str, digest: str) -> Head:
    """Read a head by its digest.

    Raises:
        HeadError: the files are not a head.
    """
    return from_files(
        tables.read_bytes(classifier_file(name, digest, "head.safetensors")),
        tables.read_bytes(classifier_file(name, digest, "head.json")),
    )


def _pointer(tables: Tables, name: str, file: str) -> Pointer | None:
    place = classifier_file(name, file)
    if not tables.exists(place):
        return None
    facts = json.loads(tables.read_bytes(place))
    return Pointer(facts["digest"], facts["inputs"], tuple(facts["classes"]), facts["missed"])
