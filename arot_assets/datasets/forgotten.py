"""Tombstones: content that was taken down and must not come back, wherever a source offers it again.

Belongs here: the list, and the row of ``samples`` that is left of such an object. Does not belong here: removing what the store
had of it (``arot_assets.takedown``).

The list names content by ``sample_id``, a hash of the bytes, so a renamed or copied file stays out too.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from resources.tables import StoreFile, Tables

FORGOTTEN = StoreFile("exports/forgotten.json")
"""Where the list has always been."""
STATUS = "forgotten"
"""Of the row of ``samples`` of an object whose content was taken down."""


def forgotten(tables: Tables) -> Mapping[str, Mapping[str, str]]:
    """sample_id -> ``when`` it was taken down, and ``why``."""
    if not tables.exists(FORGOTTEN):
        return {}
    found: dict[str, dict[str, str]] = json.loads(tables.read_bytes(FORGOTTEN))
    return found


def add_forgotten(tables: Tables, samples: Iterable[str], why: str, when: str) -> None:
    """Add samples to the list; those on it keep their date."""
    found = {**{s: {"when": when, "why": why} for s in samples}, **forgotten(tables)}
    tables.write_bytes((json.dumps(found, indent=1, sort_keys=True) + "\n").encode(), FORGOTTEN)


def is_forgotten(known: Collection[str], names: Iterable[str]) -> bool:
    """Whether one of these names (a sample_id, a SHA-256) is of content on the list."""
    return any(name[:32] in known for name in names)


def forgotten_row(row: Mapping[str, Any], why: str) -> dict[str, Any]:
    """What is left in ``samples`` of an object that was taken down: that it is at the source, and why nothing else is told."""
    kept = {name: row[name] for name in ("uri", "shard", "ingested_at") if name in row}
    return {**dict.fromkeys(row), **kept, "status": STATUS, "reason": f"taken down: {why}", "notes": [], "tags": []}
