"""Tombstones: content that was taken down and must not come back, wherever a source offers it again.

Belongs here: the list, and the row of ``samples`` that is left of such an object. Does not belong here: removing what the store
had of it (``arot_assets.takedown``).

The list names content by ``sample_id``, a hash of the bytes, so a renamed or copied file stays out too.
"""

import json
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from resources.errors import ArotError
from resources.storage import StorageError
from resources.tables import StoreFile, Tables

FORGOTTEN = StoreFile("exports/forgotten.json")
"""Where the list has always been; versions of arot that know of no other place read it here."""
FOLDER = "forgotten"
"""Folder of the store: a file for each takedown. Nobody replaces one, so that on servers without conditional writes two people at
once lose nothing."""
ATTEMPTS = 100
"""How often the list is read again because another process has added to it meanwhile."""
STATUS = "forgotten"
"""Of the row of ``samples`` of an object whose content was taken down."""


class TombstoneError(ArotError):
    """The list cannot be read."""


_known: dict[str, Mapping[str, Mapping[str, Any]]] = {}
"""Address of a file of ``FOLDER`` -> its content, which never changes."""
FilmSpan = tuple[str, int, int]
"""``sample_id`` of a film, and start and end in units of its time base."""
_spans: dict[str, Sequence[FilmSpan]] = {}
"""The same for the spans of clips."""


def forgotten(tables: Tables) -> Mapping[str, Mapping[str, Any]]:
    """sample_id -> ``when`` it was taken down, and ``why``; and where known ``bytes``, sizes of the objects of all samples that
    were taken down with it."""
    found = dict(_read(tables, FORGOTTEN))
    for name in tables.list(FOLDER):
        place = StoreFile(f"{FOLDER}/{name}")
        uri = tables.uri(place)
        if uri not in _known:
            told = _read(tables, place)
            sizes = tuple(told.get("bytes", ()))
            _known[uri] = {s: {**one, "bytes": sizes} for s, one in told.get("samples", {}).items()}
            _spans[uri] = [(film, start, end) for film, start, end in told.get("spans", ())]
        found |= _known[uri]
    return found


def forgotten_spans(tables: Tables) -> Mapping[str, Sequence[tuple[int, int]]]:
    """sample_id of a film -> the spans of it that were taken down as clips: start and end, in units of the film's time base."""
    forgotten(tables)
    found: dict[str, list[tuple[int, int]]] = {}
    for name in tables.list(FOLDER):
        for film, start, end in _spans.get(tables.uri(StoreFile(f"{FOLDER}/{name}")), ()):
            found.setdefault(film, []).append((start, end))
    return found


def add_forgotten(
    tables: Tables,
    samples: Iterable[str],
    why: str,
    when: str,
    sizes: Iterable[int] = (),
    spans: Iterable[FilmSpan] = (),
) -> None:
    """Add samples to the list; those on it keep their date. Others may add to it at the same time.

    Args:
        tables: the store.
        samples: their ids.
        why: the reason.
        when: in UTC.
        sizes: of their objects, in bytes: by these a cache of another machine is searched later.
        spans: of films that the clips among them show: cut again, in another size, a clip has another hash.

    Raises:
        StorageError: the store cannot be written.
    """
    known = forgotten(tables)
    new = {s: {"when": when, "why": why} for s in samples if s not in known}
    if not new:
        return
    place = StoreFile(f"{FOLDER}/{uuid.uuid4().hex}.json")
    tables.write_bytes(_encoded({"bytes": sorted(sizes), "samples": new, "spans": sorted(spans)}), place)
    uri = tables.uri(FORGOTTEN)
    for left in reversed(range(ATTEMPTS)):
        version = tables.version(FORGOTTEN)  # before the content: what is replaced is not newer than it
        data = _encoded({**new, **_read(tables, FORGOTTEN)})
        try:
            if version:
                tables.storage.replace(uri, data, version)
            else:
                tables.storage.write(uri, data, create_only=True)
        except StorageError as error:
            if error.kind not in ("changed", "exists") or not left:
                raise
        else:
            return


def _read(tables: Tables, place: StoreFile) -> Mapping[str, Any]:
    try:
        found: dict[str, Any] = json.loads(tables.read_bytes(place))
    except StorageError as error:
        if error.kind != "not_found":
            raise
        return {}
    except ValueError as error:
        raise TombstoneError(
            f"'{tables.uri(place)}' is damaged ({error}): what was taken down would come back, so nothing is read; restore it "
            "from a backup"
        ) from error
    return found


def _encoded(entries: Mapping[str, Any]) -> bytes:
    return (json.dumps(entries, indent=1, sort_keys=True) + "\n").encode()


def is_forgotten(known: Collection[str], names: Iterable[str]) -> bool:
    """Whether one of these names (a sample_id, a SHA-256) is of content on the list."""
    return any(name[:32] in known for name in names)


def forgotten_row(row: Mapping[str, Any], why: str) -> dict[str, Any]:
    """What is left in ``samples`` of an object that was taken down: that it is at the source, and why nothing else is told."""
    kept = {name: row[name] for name in ("uri", "shard", "ingested_at") if name in row}
    return {**dict.fromkeys(row), **kept, "status": STATUS, "reason": f"taken down: {why}", "notes": [], "tags": []}


def without_forgotten(
    rows: Iterable[Mapping[str, Any]], taken_down: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Rows of ``samples``, in which those of content on the list say nothing but that."""
    return [
        dict(row) if (told := taken_down.get(row.get("sample_id") or "")) is None else forgotten_row(row, told["why"])
        for row in rows
    ]
