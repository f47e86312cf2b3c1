"""What a list says of an object: the inventory's column ``metadata``.

Belongs here: writing and reading that column. Does not belong here: reading lists (``url_list.py`` and its like).

The column is JSON: ``{"caption": …, "tags": […], "record": {…}}``; what is absent is not said. An object of which the list says
another thing than before has changed.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arot_assets.datasets.sidecars import Sidecar, split_tags
from arot_assets.jsontext import dump_json, parse_json
from resources.storage.http.rules import redacted

CAPTION_COLUMNS = ("caption", "text", "alt")
TAGS_COLUMNS = ("tags",)
"""Usual names, the first that is there is taken; upper and lower case do not matter."""


def choose(columns: Iterable[str], named: str, usual: Sequence[str]) -> str | None:
    """The column that is named, or else the first of the usual ones that is there; None if there is none."""
    there = list(columns)
    if named:
        return named if named in there else None
    lower = {name.lower(): name for name in reversed(there)}
    return next((lower[name] for name in usual if name in lower), None)


def to_metadata(caption: Any, tags: Any, record: Mapping[str, Any]) -> str | None:
    """The column's value for one object.

    Args:
        caption: a text; other things are none.
        tags: a list of texts, or a text with commas.
        record: everything else that is said of it; empty values are left out. What is not JSON becomes text, and addresses
            lose their passwords and signatures.

    Returns:
        JSON, None if nothing is said.
    """
    said: dict[str, Any] = {}
    if isinstance(caption, str) and caption.strip():
        said["caption"] = caption.replace("\r\n", "\n").strip()
    words = split_tags(tags) if isinstance(tags, str) else [t.strip() for t in tags or () if isinstance(t, str)]
    if words:
        said["tags"] = list(dict.fromkeys(w for w in words if w))
    rest = {key: without_secrets(value) for key, value in record.items() if value is not None and value != ""}
    if rest:
        said["record"] = rest
    # by way of text: so that NaN, NUL and whatever a Parquet file holds become what every reader of JSON accepts
    return dump_json(parse_json(json.dumps(said, default=str))) if said else None


def without_secrets(value: Any) -> Any:
    """A value in which no address carries a password or a signature: such are never stored."""
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return redacted(value)
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items()}
    return [without_secrets(inner) for inner in value] if isinstance(value, list | tuple) else value


def add_listed(side: Sidecar, metadata: str | None) -> Sidecar:
    """What the files beside an object say, completed by what the list says."""
    if metadata is None:
        return side
    said = json.loads(metadata)
    return Sidecar(
        caption=side.caption or said.get("caption"),
        tags=tuple(dict.fromkeys((*side.tags, *said.get("tags", ())))),
        sidecar=side.sidecar or (dump_json(said["record"]) if "record" in said else None),
        problems=side.problems,
    )
