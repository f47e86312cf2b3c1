"""What people did in lenslet: stars and tags in its log of labels, and results of its ranking mode.

Belongs here: lenslet's files as ``Statement``. Does not belong here: starting it (``review.py``).

The log is compacted from time to time, so it is no history: each of its lines is taken once, by its ``mutation_id``, and the
events keep it. A rater is only a session there; ``rater_name`` says who it was. The last line may be cut short: it comes complete
the next time.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from arot_assets.ratings.declaration import LABELS, PAIR, RANKING, SCORE, SKIP, SourceRule
from arot_assets.ratings.said import RatingsError, Statement, number_of, text_of, time_of
from resources.storage import Storage

UPDATED = "item-updated"


def read_lenslet(storage: Storage, source: SourceRule) -> Iterator[Statement]:
    """Stars as scores, or tags as labels, whichever ``kind`` asks for.

    A later line about an item corrects an earlier one of the same rater; taking the stars away withdraws the score. By id, the
    name of the file is the sample's, up to its first dot: ``<sample_id>.2.jpg`` shows a sample for the second time.

    Raises:
        RatingsError: a line in the middle is no JSON.
        StorageError: the log cannot be read.
    """
    if source.kind not in (SCORE, LABELS):
        raise RatingsError(f"source '{source.name}': lenslet gives stars (`kind: score`) and tags (`kind: labels`)")
    for line in json_lines(storage.read_bytes(source.address).decode("utf-8", "replace"), source):
        field = "star" if source.kind == SCORE else "tags"
        if line.get("type") != UPDATED or field not in (line.get("changed_fields") or [field]):
            continue
        path = text_of(line.get("path")).lstrip("/")
        item = path.rpartition("/")[2].partition(".")[0] if source.by in ("id", "sha256") else path
        rater = source.rater_name or text_of(line.get("updated_by"))
        rated_at, note = time_of(line.get("updated_at"), source.timezone or "UTC")
        star = number_of(line.get("star"))
        kind = SKIP if source.kind == SCORE and star is None else source.kind
        labels = tuple(sorted({text_of(tag) for tag in line.get("tags") or ()})) if source.kind == LABELS else ()
        yield Statement(
            f"{source.kind}/{rater}/{path}", kind, (item,), rater, star if kind == SCORE else None, labels,
            rated_at=rated_at, session=text_of(line.get("updated_by")).removeprefix("session:"), note=note,
        )  # fmt: skip


def read_lenslet_ranking(storage: Storage, source: SourceRule, images: dict[str, Sequence[str]]) -> Iterator[Statement]:
    """Completed rankings; of an instance that was saved several times, the last save counts.

    Args:
        storage: reads the results.
        source: which.
        images: ``instance_id ->`` the names of its samples, in the order of the queue (``queue_images``).

    Raises:
        RatingsError: a line in the middle is no JSON.
        StorageError: the results cannot be read.
    """
    last: dict[str, dict[str, Any]] = {}
    for line in json_lines(storage.read_bytes(source.address).decode("utf-8", "replace"), source):
        name = text_of(line.get("instance_id"))
        if int(line.get("save_seq") or 0) >= int(last.get(name, {}).get("save_seq") or 0):
            last[name] = line
    for name, line in last.items():
        if not line.get("completed"):
            continue
        items = tuple(images.get(name, ()))
        ranks: dict[int, int] = {}
        fault = "" if items else f"the queue has no instance {name!r}"
        for rank, group in enumerate(line.get("final_ranks") or [], 1):
            ranks |= {int(place) if text_of(place).isdecimal() else -1: rank for place in group}
        if items and sorted(ranks) != list(range(len(items))):
            fault = "not every image has one rank"
        rated_at, note = time_of(line.get("submitted_at"), source.timezone or "UTC")
        millis = number_of(line.get("duration_ms"))
        yield Statement(
            f"{source.rater_name}/{name}", PAIR if len(items) == 2 else RANKING, items, source.rater_name,
            ranks=() if fault else tuple(ranks[k] for k in range(len(items))), rated_at=rated_at,
            seconds=None if millis is None else millis / 1000, session=name, fault=fault, note=note,
        )  # fmt: skip


def queue_images(storage: Storage, source: SourceRule) -> dict[str, Sequence[str]]:
    """The images of each instance of the queue that a results file is of.

    lenslet writes ``.lenslet/ranking/<queue>.results.jsonl`` beside ``<queue>.json``; a folder of the queue is taken off paths.

    Raises:
        RatingsError: the queue is not there, or no such file.
    """
    folder, _, name = source.address.replace("\\", "/").partition("/.lenslet/ranking/")
    address = f"{folder}/{name.removesuffix('.results.jsonl')}.json"
    try:
        queue = json.loads(storage.read_bytes(address))
        instances = queue["instances"] if isinstance(queue, dict) else queue
        return {
            text_of(one["instance_id"]): [_named(text_of(path), folder, source) for path in one["images"]]
            for one in instances
        }
    except (ValueError, KeyError, TypeError) as error:
        raise RatingsError(f"source '{source.name}': '{address}' is no ranking queue: {error}; restore it") from error


def _named(path: str, folder: str, source: SourceRule) -> str:
    if source.by in ("id", "sha256"):
        return path.rpartition("/")[2].partition(".")[0]
    return path.removeprefix(f"{folder}/") if source.by == "path" or "://" in path else str(Path(folder) / path)


def json_lines(text: str, source: SourceRule) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file that is still being written: a last line that was cut short is left for the next time.

    Raises:
        RatingsError: another line is no JSON.
    """
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            if number == len(lines):
                return
            raise RatingsError(
                f"source '{source.name}': line {number} of '{source.file}' is no JSON: {error}; remove that line"
            ) from error
        if isinstance(found, dict):
            yield found
