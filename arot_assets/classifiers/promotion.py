"""Where models are stored, which one was trained last, which one scores, and why.

Belongs here: the layout below ``classifiers/<name>/``, the pointers and the decisions. Does not belong here: fitting and
evaluating, comparing (``contest.py``), what an entry says (``entry.py``).

    classifiers/<name>/<digest>/        the model's files, entry.json, about.json, evaluation.json, test.parquet, report.html
    classifiers/<name>/latest.json      the most recently trained model, and its inputs
    classifiers/<name>/current.json     the promoted model: its scores are the table
    classifiers/<name>/decisions/       a file a decision, kept for ever

The two pointers are written last, each in one step, so they always point to complete models. A model that fails the gate is kept
for inspection, while the previously promoted one continues to score.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from arot_assets.errors import did_you_mean
from resources.errors import ArotError
from resources.tables import StoreFile, Tables

ROOT = "classifiers"
DECISIONS = "decisions"
CHECKPOINTS = "checkpoints"
CURVES = "curves"
"""What trackers write while a backbone is trained: `tensorboard --logdir` shows it."""
_NOT_MODELS = (DECISIONS, CHECKPOINTS, CURVES)
Choice = Literal["promoted", "kept", "promoted by hand", "rolled back"]


class PromotionError(ArotError):
    """A model that cannot be promoted; the message says why and what there is."""


@dataclass(frozen=True)
class Pointer:
    """The content of ``latest.json`` and ``current.json``.

    Attributes:
        digest: the model's folder.
        inputs: digest of everything that it was trained from: labels, split, embeddings, settings.
        classes: names of its classes.
        missed: why it was not promoted, empty if it was.
    """

    digest: str
    inputs: str
    classes: tuple[str, ...]
    missed: str = ""


@dataclass(frozen=True)
class Decision:
    """Why a model scores, or does not.

    Attributes:
        at: ISO 8601, UTC.
        digest: the model.
        choice: what was decided.
        reason: in words.
        against: the model that scored before; empty if there was none.
        figures: what the decision rests on: name -> value, low, high.
    """

    at: str
    digest: str
    choice: Choice
    reason: str
    against: str = ""
    figures: Mapping[str, Sequence[float]] = field(default_factory=dict)


def classifier_file(name: str, *below: str) -> StoreFile:
    """A file of a classifier in the store."""
    return StoreFile("/".join([ROOT, name, *below]))


def latest(tables: Tables, name: str) -> Pointer | None:
    """The most recently trained model; None before the first."""
    return _pointer(tables, name, "latest.json")


def current(tables: Tables, name: str) -> Pointer | None:
    """The promoted model; None if there is none."""
    return _pointer(tables, name, "current.json")


def decisions(tables: Tables, name: str) -> list[Decision]:
    """All of them, the first one first."""
    files = sorted(f for f in tables.list(f"{ROOT}/{name}/{DECISIONS}") if f.endswith(".json"))
    return [Decision(**json.loads(tables.read_bytes(classifier_file(name, DECISIONS, file)))) for file in files]


def digests(tables: Tables, name: str) -> list[str]:
    """The models of a classifier that are in the store."""
    found = [f for f in tables.list(f"{ROOT}/{name}") if "." not in f and f not in _NOT_MODELS]
    return [f for f in found if tables.exists(classifier_file(name, f, "entry.json"))]


def note(tables: Tables, name: str, pointer: Pointer, decision: Decision) -> None:
    """Keep a newly trained model's decision, then move the pointers."""
    keep(tables, name, decision)
    data = json.dumps(asdict(pointer), indent=2).encode()
    if not pointer.missed:
        tables.write_bytes(data, classifier_file(name, "current.json"))
    tables.write_bytes(data, classifier_file(name, "latest.json"))


def keep(tables: Tables, name: str, decision: Decision) -> None:
    """Add a decision to those that are kept."""
    moment = decision.at.replace(":", "").replace("+0000", "Z")
    tables.write_bytes(
        json.dumps(asdict(decision), indent=2).encode(),
        classifier_file(name, DECISIONS, f"{moment}-{decision.digest}.json"),
    )


def now() -> str:
    """The moment of a decision."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def promote(tables: Tables, name: str, digest: str | None = None, reason: str = "") -> Decision:
    """Let a model score from now on, whatever its gate said.

    Args:
        tables: the store.
        name: the classifier.
        digest: of the model, or its beginning; None: the one that was trained last.
        reason: in words.

    Raises:
        PromotionError: there is no such model, or it scores already.
    """
    known = digests(tables, name)
    last = latest(tables, name)
    if not known or last is None:
        raise PromotionError(f"classifier '{name}' has no trained model; `arot run` of its dataset trains one")
    wanted = digest or last.digest
    found = [one for one in known if one.startswith(wanted)]
    if len(found) != 1:
        hint = did_you_mean(wanted, known)
        raise PromotionError(
            f"classifier '{name}' has {len(found) or 'no'} models '{wanted}'; there are: {', '.join(known)}.{hint}"
        )
    before = current(tables, name)
    if before is not None and before.digest == found[0]:
        raise PromotionError(f"model {found[0]} of '{name}' scores already")
    decision = Decision(now(), found[0], "promoted by hand", reason or "asked for", before.digest if before else "")
    _set_current(tables, name, decision)
    return decision


def rollback(tables: Tables, name: str, reason: str = "") -> Decision:
    """Let the model score that did before the current one.

    Raises:
        PromotionError: there is none.
    """
    before = current(tables, name)
    history: list[str] = []
    for decision in decisions(tables, name):
        if decision.choice == "rolled back":
            history = history[: history.index(decision.digest) + 1] if decision.digest in history else history
        elif decision.choice != "kept":
            history.append(decision.digest)
    if before is None or len(history) < 2:
        raise PromotionError(f"classifier '{name}' has no model that scored before the current one")
    decision = Decision(now(), history[-2], "rolled back", reason or "asked for", before.digest)
    _set_current(tables, name, decision)
    return decision


def _set_current(tables: Tables, name: str, decision: Decision) -> None:
    about = read_json(tables, name, decision.digest, "about.json")
    pointer = Pointer(decision.digest, about["inputs_digest"], tuple(about["classes"]))
    keep(tables, name, decision)
    tables.write_bytes(json.dumps(asdict(pointer), indent=2).encode(), classifier_file(name, "current.json"))


def read_json(tables: Tables, name: str, digest: str, file: str) -> dict[str, Any]:
    """A JSON file of a stored model."""
    found: dict[str, Any] = json.loads(tables.read_bytes(classifier_file(name, digest, file)))
    return found


def _pointer(tables: Tables, name: str, file: str) -> Pointer | None:
    place = classifier_file(name, file)
    if not tables.exists(place):
        return None
    facts = json.loads(tables.read_bytes(place))
    return Pointer(facts["digest"], facts["inputs"], tuple(facts["classes"]), facts["missed"])
