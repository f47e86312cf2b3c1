"""What people did in Label Studio: an exported JSON or JSON-MIN, or those of a running server.

Belongs here: Label Studio's annotations as ``Statement``. Does not belong here: requests (``resources.label_studio``), and
tasks for raters (``review.py``).

Values that are taken: ``rating``, ``number``, ``choices``, ``taxonomy``, ``pairwise``, ``ranker``; a skipped task is an event.
A corrected annotation keeps its ``unique_id``, which is the key of its events. A server names raters by number in its
annotations; they are known here by their e-mail addresses.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from arot_assets.ratings.declaration import CATEGORY, LABELS, PAIR, RANKING, SCORE, SKIP, SourceRule
from arot_assets.ratings.said import RatingsError, Statement, labels_of, number_of, text_of, time_of
from resources.label_studio import LabelStudio
from resources.storage import Storage

PAIR_RANKS: Mapping[str, tuple[int, int]] = {"left": (1, 2), "right": (2, 1)}


def read_label_studio(storage: Storage, source: SourceRule) -> Iterator[Statement]:
    """All annotations.

    Raises:
        RatingsError: it is no export.
        LabelStudioError: the server does not answer, or refuses.
        StorageError: the file cannot be read.
    """
    people: Mapping[int, str] = {}
    session = ""
    if source.url:
        server = LabelStudio(source.url, source.key_variable)
        session, tasks = server.identity(source.project or 1), server.annotations(source.project or 1)
        people = server.people() if tasks and not source.rater_name else {}
    else:
        tasks = _exported(storage, source)
    for task in tasks:
        if "annotations" in task:
            for annotation in task["annotations"] or ():
                yield replace(_of_annotation(task, annotation, source, people), session=session)
        else:
            yield _of_row(task, source)


def whole_session(source: SourceRule) -> str:
    """The session of which a source tells everything that holds now: the project of a server; none of a file.

    Raises:
        LabelStudioError: the server does not answer, or refuses.
    """
    return LabelStudio(source.url, source.key_variable).identity(source.project or 1) if source.url else ""


def _exported(storage: Storage, source: SourceRule) -> list[dict[str, Any]]:
    try:
        tasks = json.loads(storage.read_bytes(source.address))
    except ValueError as error:
        raise RatingsError(f"source '{source.name}': no JSON: {error}; export as JSON or JSON-MIN") from error
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise RatingsError(f"source '{source.name}': a list of tasks is expected; export as JSON or JSON-MIN")
    return tasks


def _of_annotation(
    task: Mapping[str, Any], annotation: Mapping[str, Any], source: SourceRule, people: Mapping[int, str]
) -> Statement:
    by = annotation.get("completed_by")
    rater = text_of(by.get("email") or by.get("id")) if isinstance(by, dict) else people.get(by or 0) or text_of(by)
    data = task.get("data") or {}
    results = [(str(r.get("type")), r.get("value") or {}) for r in annotation.get("result") or ()]
    key = text_of(annotation.get("unique_id") or annotation.get("id"))
    skipped = bool(annotation.get("was_cancelled"))
    return _said(data, results, source, key, rater, annotation, skipped)


def _of_row(row: Mapping[str, Any], source: SourceRule) -> Statement:
    """A row of JSON-MIN: a value has no type there, so its own form tells it."""
    plain = {"id", "annotation_id", "annotator", "lead_time", "created_at", "updated_at", "agreement", source.item}
    results: list[tuple[str, Any]] = []
    for name, value in row.items():
        first = value[0] if isinstance(value, list) and value else value
        if isinstance(first, dict):
            results += [
                (kind, first) for kind in ("rating", "number", "choices", "taxonomy", "selected") if kind in first
            ]
        elif name not in plain and name == source.value:
            results.append(
                ("number" if number_of(value) is not None else "choices", {"number": value, "choices": value})
            )
    return _said(row, results, source, text_of(row.get("annotation_id")), text_of(row.get("annotator")), row, False)


def _said(
    data: Mapping[str, Any], results: list[tuple[str, Any]], source: SourceRule,
    key: str, rater: str, times: Mapping[str, Any], skipped: bool,
) -> Statement:  # fmt: skip
    pair = source.kind == PAIR
    items = tuple(text_of(data.get(name)) for name in ((source.left, source.right) if pair else (source.item,)))
    rated_at, note = time_of(times.get("updated_at") or times.get("created_at"), source.timezone or "UTC")
    score: float | None = None
    labels: tuple[str, ...] = ()
    ranks: tuple[int, ...] = ()
    fault, kind = "", SKIP if skipped else source.kind
    if not skipped:
        found = next((given for t, v in results if (given := _value(source.kind, t, v)) is not None), None)
        if found is None:
            kinds = ", ".join(sorted({t for t, _ in results})) or "nothing"
            fault = f"the annotation holds {kinds}, no {source.kind}"
        else:
            score, labels, ranks, ranked = found
            items = ranked or items
    if not all(items):
        missing = source.left if pair else source.item
        fault = f"the task's data has no '{missing}'; put the sample's name there when importing"
    return Statement(
        key, kind, items, source.rater_name or rater, score, labels, ranks, rated_at,
        number_of(times.get("lead_time")), fault=fault, note=note,
    )  # fmt: skip


Given = tuple[float | None, tuple[str, ...], tuple[int, ...], tuple[str, ...]]
"""A score, labels, ranks, and the ranked items."""


def _value(wanted: str, kind: str, value: Mapping[str, Any]) -> Given | None:
    """The value of a result if it is of the wanted kind."""
    if wanted == SCORE and kind in ("rating", "number"):
        number = number_of(value.get(kind))
        return None if number is None else (number, (), (), ())
    if wanted in (CATEGORY, LABELS) and kind in ("choices", "taxonomy"):
        given = value.get(kind) or []
        parts = (
            [" / ".join(map(str, g)) if isinstance(g, list) else g for g in given] if isinstance(given, list) else given
        )
        labels = labels_of(parts, "\x1f")
        return (None, labels, (), ()) if wanted == LABELS or len(labels) == 1 else None
    if wanted == PAIR and kind in ("pairwise", "selected"):
        ranks = PAIR_RANKS.get(text_of(value.get("selected")), (1, 1))
        return None, (), ranks, ()
    if wanted == RANKING and kind == "ranker":
        buckets = list((value.get("ranker") or {}).values())
        ranked = [(text_of(item), rank) for rank, bucket in enumerate(filter(None, buckets), 1) for item in bucket]
        return (None, (), tuple(r for _, r in ranked), tuple(i for i, _ in ranked)) if len(ranked) > 1 else None
    return None
