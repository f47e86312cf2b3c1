"""The list of a tagger's tags, as its repository publishes it.

Belongs here: reading it from the files of an entry: CSV, JSON or one tag a line. Does not belong here: the table that is made of
it (``arot_assets.metrics.tag_lists``), thresholds of queries (``resources.warehouse.macros``).
"""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from resources.models.entry import ModelEntry, ModelError
from resources.models.outputs import TagList, Tags

VOCABULARIES = Path(__file__).parent / "vocabularies"
"""Lists of tags that a model's repository lacks ship here."""
Tag = tuple[str, str | None, float | None]
"""Name, category and published threshold."""


def tags_output(entry: ModelEntry) -> Tags | None:
    """The output of an entry that is a list of tags; None if it is no tagger."""
    return next((output for output in entry.outputs if isinstance(output, Tags)), None)


def read_tags(entry: ModelEntry, folder: Path) -> list[Tag]:
    """The tags of a tagger, in the order of its numbers.

    Args:
        entry: a tagger.
        folder: has the files of its weights. A list that is not among them may be one that ships with this module.

    Raises:
        ModelError: the list is not among the files, cannot be read, or is not as long as the model's output: every tag would be
            another one.
    """
    output = tags_output(entry)
    assert output is not None, "the caller asked for the tags of a tagger"
    if isinstance(output.tags, TagList):
        said = output.tags
        if said.file not in entry.weights.files and (VOCABULARIES / said.file).is_file():
            folder = VOCABULARIES
        elif said.file not in entry.weights.files:
            raise ModelError(
                f"model '{entry.name}': its list of tags, '{said.file}', is not among the files of its weights; "
                f"`arot models pin {entry.name}` adds it"
            )
        try:
            found = _read(said, folder / said.file)
        except (OSError, UnicodeDecodeError, ValueError, KeyError, TypeError) as error:
            raise ModelError(
                f"model '{entry.name}': {said.file} is no list of tags as its entry says: {error!r}"
            ) from error
    else:
        found = [(name, None, None) for name in output.tags]
    if len(found) != output.count:
        raise ModelError(
            f"model '{entry.name}': its list has {len(found)} tags, and its output '{output.name}' has {output.count}; correct "
            "`count`, or name the list of this very model"
        )
    return found


def _read(said: TagList, file: Path) -> list[Tag]:
    text = file.read_text(encoding="utf-8-sig")
    rows = (
        _of_csv(said, text)
        if file.suffix == ".csv"
        else _of_json(said, text)
        if file.suffix == ".json"
        else _of_lines(text)
    )
    return [_tag(said, *row) for row in rows]


def _tag(said: TagList, name: str, category: Any, threshold: Any) -> Tag:
    meant = None if category in (None, "") else (said.categories or {}).get(str(category), str(category))
    published = threshold if threshold not in (None, "") else (said.thresholds or {}).get(meant or "")
    return name, meant, None if published is None else float(published)


def _of_csv(said: TagList, text: str) -> list[tuple[str, Any, Any]]:
    rows = list(csv.DictReader(text.splitlines()))
    wanted = [column for column in (said.column, said.category, said.threshold) if column]
    there = list(rows[0]) if rows else []
    missing = [column for column in wanted if column not in there]
    if missing:
        raise ValueError(f"it has no column {missing}; it has {there}")
    return [(row[said.column] or "", row.get(said.category), row.get(said.threshold)) for row in rows]


def _of_json(said: TagList, text: str) -> list[tuple[str, Any, Any]]:
    """A list, or a mapping either way: index -> tag or tag -> index; ``category`` is the path of the mapping tag -> category.

    Or a list of categories, each with its ``name``, the ``offset`` of its first tag, and ``tags``.
    """
    whole = json.loads(text)
    names = _at(whole, said.path)
    if isinstance(names, list) and names and isinstance(names[0], Mapping):
        return _of_categories(names)
    if isinstance(names, Mapping):
        by_index = all(str(key).isdigit() for key in names) and any(isinstance(v, str) for v in names.values())
        pairs = {int(k): v for k, v in names.items()} if by_index else {int(v): k for k, v in names.items()}
        if sorted(pairs) != list(range(len(pairs))):
            raise ValueError("its indices are not 0, 1, 2 …")
        names = [pairs[index] for index in range(len(pairs))]
    categories = _at(whole, said.category) if said.category else {}
    return [(str(name), categories.get(name), None) for name in names]


def _of_categories(categories: list[Any]) -> list[tuple[str, Any, Any]]:
    rows: list[tuple[str, Any, Any]] = []
    for one in sorted(categories, key=lambda one: int(one["offset"])):
        if one["offset"] != len(rows):
            raise ValueError(f"category '{one['name']}' begins at {one['offset']}, and {len(rows)} tags are before it")
        rows += [(str(tag), one["name"], None) for tag in one["tags"]]
    return rows


def _at(whole: Any, path: str) -> Any:
    for part in path.split(".") if path else ():
        whole = whole[part]
    return whole


def _of_lines(text: str) -> list[tuple[str, Any, Any]]:
    return [(line.strip(), None, None) for line in text.splitlines() if line.strip()]
