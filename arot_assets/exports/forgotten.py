"""Samples that must not be exported any more: takedowns.

Belongs here: the list. Does not belong here: removing what was exported before (``takedown.py``).
"""

import json
from collections.abc import Mapping, Sequence

from resources.tables import StoreFile, Tables

FORGOTTEN = StoreFile("exports/forgotten.json")


def forgotten(tables: Tables) -> Mapping[str, Mapping[str, str]]:
    """sample_id -> when it was taken down, and why."""
    if not tables.exists(FORGOTTEN):
        return {}
    found: dict[str, dict[str, str]] = json.loads(tables.read_bytes(FORGOTTEN))
    return found


def add_forgotten(tables: Tables, samples: Sequence[str], why: str, when: str) -> None:
    """Add samples to the list; those on it keep their date."""
    found = {**{s: {"when": when, "why": why} for s in samples}, **forgotten(tables)}
    tables.storage.write(tables.uri(FORGOTTEN), (json.dumps(found, indent=1, sort_keys=True) + "\n").encode())
