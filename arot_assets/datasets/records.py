"""Captions and tags of a record, in their various representations.

Belongs here: strings, numbers, lists and dictionaries that tools and image boards store as ``caption`` and ``tags``, in
JSON beside an image, in lists, in Parquet columns. Does not belong here: which record belongs to which image, plain
text files.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from typing import Any

from arot_assets.datasets.tag_lists import split_tags
from arot_assets.jsontext import parse_json

MAX_PARSED = 100_000
"""Longest text of a table cell that is parsed as a list, in characters."""

_NAMES = ("name", "tag", "tag_name", "label", "value", "text", "title")
"""Keys of a dictionary that represents one tag."""
_TEXTS = (
    "caption",
    "captions",
    "raw",
    "text",
    "texts",
    "sentence",
    "sentences",
    "value",
    "content",
    "en",
    "eng",
    "english",
)
"""Keys of a dictionary that contain its text; the first that exists is used."""
_RATINGS = ("rating", "ratings")


def captions_of(value: Any) -> tuple[list[str], bool]:
    """All captions in a value, the preferred one first, from a string, a number, a list, or a dictionary by language or
    kind; and whether it could be interpreted: there is a caption, or nothing at all."""
    found = [text.replace("\r\n", "\n").strip() for text in _captions(_opened(value))]
    captions = list(dict.fromkeys(text for text in found if text))
    return captions, bool(captions) or _is_empty(value)


def tags_of(value: Any) -> tuple[list[str], bool]:
    """The tags in a value, without duplicates, and whether all of it could be interpreted as tags.

    Accepted forms: text separated by commas, semicolons or, if it looks like tags, spaces; lists of strings, of ``[tag,
    score]`` pairs, or of dictionaries with a ``name``; dictionaries from tag to score or from category to any of these.
    """
    tags: list[str] = []
    complete = _collect(_opened(value), tags)
    return list(dict.fromkeys(tags)), complete


def record_tags(record: Mapping[str, Any]) -> tuple[list[str], bool]:
    """Tags of a record: its ``tags``, then the ``tag_string`` and ``tag_string_*`` or ``tags_*`` of image boards."""
    tags: list[str] = []
    complete = True
    for key in sorted(record, key=lambda key: (key.lower() != "tags", key.lower() != "tag_string")):
        lower, value = key.lower(), record[key]
        if lower == "tags":
            found, whole = tags_of(value)
            complete &= whole
        elif lower == "tag_string" or (lower.startswith(("tag_string_", "tags_")) and not _is_number(value)):
            found = value.split() if isinstance(value, str) and "," not in value else tags_of(value)[0]
        else:
            continue
        tags += found
    return list(dict.fromkeys(tags)), complete


def _opened(value: Any) -> Any:
    """The list or dictionary in a value that was written as text, as in CSV files; other values unchanged."""
    if not isinstance(value, str) or len(value) > MAX_PARSED or not re.match(r"\s*[\[{].*[\]}]\s*$", value, re.DOTALL):
        return value
    for read in (parse_json, ast.literal_eval):
        try:
            found = read(value.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(found, list | dict):
            return found
    return value


def _is_empty(value: Any) -> bool:
    if isinstance(value, str):
        return not value.strip()
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else None
    return value is None if inner is None else all(_is_empty(item) for item in inner)


def _captions(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif _is_number(value):
        yield str(value)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _captions(item)
    elif isinstance(value, Mapping):
        keys = sorted(value, key=lambda key: _TEXTS.index(key.lower()) if key.lower() in _TEXTS else len(_TEXTS))
        for key in keys:
            if not _is_number(value[key]):
                yield from _captions(value[key])


def _collect(value: Any, tags: list[str]) -> bool:
    """Append the tags of a value; returns whether all of it could be interpreted."""
    if value is None or value == "":
        return True
    if isinstance(value, str):
        tags += _split(value)
        return True
    if isinstance(value, list | tuple):
        return _collect_list(value, tags)
    return _collect_dict(value, tags) if isinstance(value, Mapping) else False


def _collect_list(items: list[Any] | tuple[Any, ...], tags: list[str]) -> bool:
    if len(items) == 2 and isinstance(items[0], str) and isinstance(items[1], float):  # a tag and its score
        items = items[:1]
    complete = True
    for item in items:
        if isinstance(item, str):
            tags += [item.strip()] if item.strip() else []
        else:
            complete &= _collect(item, tags)
    return complete


def _collect_dict(value: Mapping[str, Any], tags: list[str]) -> bool:
    by_name = {key.lower(): inner for key, inner in value.items()}
    name = next((by_name[key] for key in _NAMES if key in by_name), None)
    if isinstance(name, str):
        tags.append(name.strip())
        return bool(name.strip())
    if value and all(inner is None or isinstance(inner, bool | int | float) for inner in value.values()):
        tags += [key.strip() for key, inner in value.items() if inner is not False and key.strip()]
        return True
    complete = True
    for key, inner in value.items():
        if key.lower() in _RATINGS or (isinstance(inner, list | tuple) and inner and all(_is_number(i) for i in inner)):
            continue  # not tags, but data about the image, or scores of the adjacent tags
        complete &= _collect(inner, tags)
    return complete


def _split(text: str) -> list[str]:
    """Tags of a text that is known to contain tags."""
    if "," not in text and "\n" not in text:
        words = text.split()
        if words and all(word.startswith("#") and len(word) > 1 for word in words):
            return [word[1:] for word in words]
        if len(parts := split_tags(text)) == 1 and len(words) > 3:
            return words
        return parts
    return split_tags(text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
