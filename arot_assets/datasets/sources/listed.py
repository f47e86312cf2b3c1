"""What a list says of an object: the inventory's column ``metadata``.

Belongs here: writing and reading that column. Does not belong here: reading lists (``url_list.py`` and its like).

The column is JSON: ``{"caption": …, "tags": […], "record": {…}, "notes": […]}``; what is absent is not
said. An object of which the list says
another thing than before has changed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arot_assets.datasets.records import captions_of, record_tags, tags_of
from arot_assets.datasets.sidecars import BAD_SIDECAR, SEVERAL_CAPTIONS, Sidecar, together
from arot_assets.jsontext import dump_json, parse_json
from resources.storage.http.rules import redacted

CAPTION_COLUMNS = ("caption", "captions", "text", "alt")
TAGS_COLUMNS = ("tags",)
"""Usual names, the first that is there is taken; upper and lower case do not matter."""


def choose(columns: Iterable[str], named: str, usual: Sequence[str]) -> str | None:
    """The column that is named, or else the first of the usual ones that is there; None if there is none."""
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
        caption: of any form that ``records.captions_of`` reads.
        tags: of any form that ``records.tags_of`` reads.
        record: everything else that is said of it; empty values are left out. What is not JSON becomes text, and addresses
            lose their passwords and signatures.
        names: under which captions and tags are in ``record`` too, if they do not fit into a text and a list of texts.
        notes: of the sample, known already.

    Returns:
        JSON, None if nothing is said.
    """
    said: dict[str, Any] = {}
    rest = {key: without_secrets(value) for key, value in record.items() if value is not None and value != ""}
    notes = list(notes)
    if captions := captions_of(caption):
        said["caption"] = captions[0]
    if len(captions) > 1:
        notes.append(SEVERAL_CAPTIONS)
    if not isinstance(caption, str | None) or len(captions) > 1:
        rest[names[0]] = caption
    words, whole = tags_of(tags)
    more = record_tags({key: value for key, value in record.items() if key.lower() != "tags"})[0]
    if words or more:
        said["tags"] = list(dict.fromkeys([*words, *more]))
    if not whole:
        notes.append(BAD_SIDECAR)
    if not whole or isinstance(tags, Mapping):
        rest[names[1]] = tags
    if rest:
        said["record"] = rest
    if notes:
        said["notes"] = list(dict.fromkeys(notes))
    if not said:
        return None
    try:  # by way of text: so that NaN, NUL and whatever a Parquet file holds become what every reader of JSON accepts
        return dump_json(parse_json(json.dumps(said, default=str)))
    except (ValueError, RecursionError):  # nested as nothing is that was written on purpose
        plain = {key: said[key] for key in ("caption", "tags") if key in said}
        return dump_json(parse_json(json.dumps({**plain, "notes": [*notes, BAD_SIDECAR]})))


def without_secrets(value: Any) -> Any:
    """A value in which no address carries a password or a signature: such are never stored."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items()}
    return [without_secrets(inner) for inner in value] if isinstance(value, list | tuple) else value


def add_listed(side: Sidecar, metadata: str | None) -> Sidecar:
    """What the files beside an object say, completed by what the list says; what both say is in ``sidecar`` under ``.list``."""
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
