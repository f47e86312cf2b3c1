"""Metadata of an object from a list: the inventory's column ``metadata``.

Belongs here: writing and reading that column. Does not belong here: reading lists (``url_list.py`` and its like).

The column is JSON: ``{"caption": …, "tags": […], "record": {…}, "notes": […]}``; absent values are left out. An object
whose metadata differ from before has changed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arot_assets.datasets.records import captions_of, record_tags, tags_of
from arot_assets.datasets.sidecars import BAD_SIDECAR, SEVERAL_CAPTIONS, Sidecar, together
from arot_assets.jsontext import dump_json, parse_json
from resources.storage.http.rules import redacted

CAPTION_COLUMNS = ("caption", "captions", "text", "alt", "txt", "caption.txt")
TAGS_COLUMNS = ("tags",)
"""Usual names, of which the first that exists is used; case does not matter. ``txt`` and ``caption.txt`` are fields of
WebDataset that became columns."""


def choose(columns: Iterable[str], named: str, usual: Sequence[str]) -> str | None:
    """The given column, or else the first of the usual ones that exists; None if there is none."""
    there = list(columns)
    if named:
        return named if named in there else None
    lower = {name.lower(): name for name in reversed(there)}
    return next((lower[name] for name in usual if name in lower), None)


def to_metadata(
    caption: Any,
    tags: Any,
    record: Mapping[str, Any],
    names: Sequence[str] = ("caption", "tags"),
    notes: Sequence[str] = (),
) -> str | None:
    """The column's value for one object.

    Args:
        caption: in any form that ``records.captions_of`` reads.
        tags: in any form that ``records.tags_of`` reads.
        record: all other metadata; empty values are left out. What is not JSON becomes text, and passwords and
            signatures are removed from URLs.
        names: the names under which captions and tags are also kept in ``record``, if they do not fit into a string and
            a list of strings.
        notes: notes of the sample that are known already.

    Returns:
        JSON, None if there is nothing.
    """
    said: dict[str, Any] = {}
    rest = {key: without_secrets(value) for key, value in record.items() if value is not None and value != ""}
    notes = list(notes)
    captions, read = captions_of(caption)
    if captions:
        said["caption"] = captions[0]
    if len(captions) > 1:
        notes.append(SEVERAL_CAPTIONS)
    if not isinstance(caption, str | None) or len(captions) > 1:
        rest[names[0]] = caption
    words, whole = tags_of(tags)
    more = record_tags({key: value for key, value in record.items() if key.lower() != "tags"})[0]
    if words or more:
        said["tags"] = list(dict.fromkeys([*words, *more]))
    if not (read and whole):
        notes.append(BAD_SIDECAR)
    if not whole or isinstance(tags, Mapping):
        rest[names[1]] = tags
    if rest:
        said["record"] = rest
    if notes:
        said["notes"] = list(dict.fromkeys(notes))
    if not said:
        return None
    try:  # by way of text, so that NaN, NUL and any Parquet value become valid JSON
        return dump_json(parse_json(json.dumps(said, default=str)))
    except (ValueError, RecursionError):  # nested deeper than anything written on purpose
        plain = {key: said[key] for key in ("caption", "tags") if key in said}
        return dump_json(parse_json(json.dumps({**plain, "notes": [*notes, BAD_SIDECAR]})))


def without_secrets(value: Any) -> Any:
    """A value in which no URL contains a password or a signature: these are never stored."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items()}
    return [without_secrets(inner) for inner in value] if isinstance(value, list | tuple) else value


def add_listed(side: Sidecar, metadata: str | None) -> Sidecar:
    """The contents of sidecars, completed by those of the list; conflicting values of the list are in ``sidecar`` under
    ``.list``."""
    if metadata is None:
        return side
    said = json.loads(metadata)
    caption, record, notes = said.get("caption"), said.get("record"), said.get("notes", [])
    if side.caption and caption and caption != side.caption:
        record = {"caption": caption, **(record or {})}
        notes = [*notes, SEVERAL_CAPTIONS]
    beside = None if side.sidecar is None else json.loads(side.sidecar)
    return Sidecar(
        caption=side.caption or caption,
        tags=tuple(dict.fromkeys((*side.tags, *said.get("tags", ())))),
        sidecar=together(record, {}) if beside is None else together(beside, {".list": record} if record else {}),
        problems=tuple(dict.fromkeys((*side.problems, *notes))),
    )
