"""The order of a takedown, and what an interruption leaves to be done.

Belongs here: the note of what is under way, the tombstone, the files of the store, this machine's cache. Does not belong here:
rows (``rows.py``), exported versions (``exports/takedown.py``).

First comes a note of what is to be done (``takedowns/``), then the tombstone: whatever begins to read a source from then on
leaves the content out. Then samples are emptied, and only then all that is made of them, so that no run brings it back. Tables
that other runs had reserved before are waited for, and looked at last. The note is removed at the end; if there is one, somebody
was interrupted, and the next takedown does its work too.

Of an object that is still at its source, ``samples`` keeps a row with the status ``forgotten`` and the reason.
"""

import hashlib
import json
import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from arot_assets.captions.stills import remove_stills
from arot_assets.classifiers.promotion import ROOT as CLASSIFIERS
from arot_assets.datasets.forgotten import add_forgotten
from arot_assets.datasets.turns import in_turn
from arot_assets.exports.takedown import PublishedVersion, affected, remove_versions
from arot_assets.exports.versions import BUCKETS, MANIFEST
from arot_assets.exports.versions import ROOT as EXPORTS
from arot_assets.progress import track
from arot_assets.takedown.models import clean_pages, remove_checkpoints
from arot_assets.takedown.rows import NamesMeant, count_hits, take_out
from arot_assets.takedown.scope import TakedownScope, clips_of, spans_of
from arot_assets.whole import WHOLE
from resources.defaults import Resources
from resources.retry import Retry
from resources.storage.cache import Cache, default_bytes, default_folder
from resources.storage.storage import StorageError
from resources.tables import INVENTORY, SAMPLES, StoreFile, TableRef, Tables, TablesError
from resources.tables.refs import CLIPS, CUT, DATASETS, LEASES, SUFFIX

NOTES = "takedowns"
"""Folder of the store: a file for each takedown that is under way, or was interrupted."""
LOOKING_AGAIN = (f"{WHOLE}.{EXPORTS}.", f"{WHOLE}.{CLASSIFIERS}.")
"""Reservations of what looks at the list once more before it is kept, and may take hours."""
ARCHIVES = (".tar", ".zip", ".parquet")
"""Ends of the names of cached files that have many objects in them."""


@dataclass
class TakedownResult:
    """What a takedown did.

    Attributes:
        rows: file below the store -> rows that were removed or emptied.
        cached: files that were removed from this machine's cache.
        left: published versions that only their owner can remove.
        damaged: files of the store that cannot be read, with the remedy; what they have in them is not known.
    """

    rows: dict[str, int] = field(default_factory=dict)
    cached: int = 0
    left: list[PublishedVersion] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


Also = Callable[[NamesMeant, TakedownResult], None]


def forget(
    resources: Resources,
    meant: TakedownScope,
    why: str,
    run: str = "arot forget",
    also: Also = lambda _meant, _done: None,
) -> TakedownResult:
    """Take samples out of every table, of this machine's cache and of the exports, for ever.

    Args:
        resources: the store.
        meant: the samples; what interrupted takedowns left is done too.
        why: the reason, for the record.
        run: who does it, as runs that wait for a table are told.
        also: what else is to be done before it counts as finished.

    Raises:
        StorageError: something cannot be removed; the samples are on the list, and calling again goes on.
    """
    tables = resources.tables
    notes = _notes(tables)
    meant |= interrupted(tables)
    meant |= clips_of(tables, meant)
    names, done = NamesMeant.of(meant), TakedownResult()
    notes.append(_note(tables, meant, why))
    now = datetime.now(UTC).isoformat(timespec="seconds")
    add_forgotten(tables, meant.places, why, now, meant.sizes, spans_of(tables, meant))
    before = tables.list(LEASES)
    out = partial(_take_out_of, tables, names, why, done, run)
    out(_samples(tables))
    of_samples = [name for name in before if f".{SAMPLES}." in name]
    if _wait(tables, of_samples, run):
        out(_samples(tables))
    others = [
        name for name in tables.list(LEASES) if not name.startswith(LOOKING_AGAIN)
    ]  # may have read samples before
    done.left = _remove_the_rest(resources, meant, names, out)
    if _wait(tables, others, run):
        _remove_the_rest(resources, meant, names, out)
    cache = Cache(default_folder(), default_bytes())
    done.cached = cache.remove_content(meant.sizes, lambda path: _hash_of(path) in meant.places)
    done.cached += remove_stills(cache, meant.places)
    if any("!/" in uri for uris in meant.places.values() for uri in uris):
        done.cached += sum(cache.remove_kind(suffix, lambda _: True) for suffix in ARCHIVES)
    resources.warehouse.refresh()
    also(names, done)
    for note in notes:
        tables.storage.delete(tables.uri(note))
    return done


def published(tables: Tables, samples: Collection[str]) -> list[PublishedVersion]:
    """The exported versions that contain one of the samples."""
    return affected(tables, samples)


def interrupted(tables: Tables) -> TakedownScope:
    """What takedowns that are under way, or were interrupted, mean."""
    found = TakedownScope({}, frozenset())
    for note in _notes(tables):
        try:
            told = json.loads(tables.read_bytes(note))
        except StorageError as error:
            if error.kind != "not_found":
                raise
            continue  # it was finished at this moment
        found |= TakedownScope(told["places"], frozenset(told["sizes"]))
    return found


def _notes(tables: Tables) -> list[StoreFile]:
    return [StoreFile(f"{NOTES}/{name}") for name in tables.list(NOTES)]


def _note(tables: Tables, meant: TakedownScope, why: str) -> StoreFile:
    place = StoreFile(f"{NOTES}/{uuid.uuid4().hex}.json")
    places = {sample: list(uris) for sample, uris in meant.places.items()}
    tables.write_bytes(json.dumps({"why": why, "places": places, "sizes": sorted(meant.sizes)}).encode(), place)
    return place


def _remove_the_rest(
    resources: Resources, meant: TakedownScope, names: NamesMeant, out: Callable[[Iterable[str]], None]
) -> list[PublishedVersion]:
    """Everything of the store but samples; gives the published versions that only their owner can remove."""
    tables = resources.tables
    _remove_clips(tables, meant)
    remove_checkpoints(tables, names)
    left = remove_versions(resources, list(meant.places))
    out(_others(tables))
    clean_pages(tables, names)
    return left


def _take_out_of(
    tables: Tables, names: NamesMeant, why: str, done: TakedownResult, run: str, paths: Iterable[str]
) -> None:
    """Take the samples out of those of some files that name them, each in turn with the runs that write it."""
    places = [StoreFile(path) for path in paths]
    with track("files that are looked into", len(places)) as advance:
        found = []
        for place in places:
            if _hits(tables, place, names, done):
                found.append(place.path)
            advance(1)

    def work(path: str) -> None:
        place = StoreFile(path)
        if _hits(tables, place, names, done):
            done.rows[path] = done.rows.get(path, 0) + take_out(tables, place, names, why)

    in_turn(tables, found, lambda path: [StoreFile(path)], work, run)


def _hits(tables: Tables, place: StoreFile, names: NamesMeant, done: TakedownResult) -> int:
    """How many rows of a file name the samples; none of one that is not there any more, or cannot be read."""
    retry = Retry(5, 0.01, 0.01)
    while True:
        try:
            return count_hits(tables, place, names)
        except TablesError as error:
            if tables.exists(place) and str(error) not in done.damaged:
                done.damaged.append(str(error))
            return 0
        except StorageError as error:
            if error.kind == "not_found":
                return 0
            if error.kind != "changed" or not retry.again():
                raise


def _wait(tables: Tables, leases: Sequence[str], run: str) -> bool:
    """Wait until whoever had reserved these tables has ended, or is taken for dead; whether there was anybody."""
    in_turn(tables, leases, lambda name: [StoreFile(f"{name}{SUFFIX}")], lambda _: None, run)
    return bool(leases)


def _files(tables: Tables) -> list[str]:
    """Every Parquet file of the store."""
    return sorted(info.uri.removeprefix(f"{tables.root}/") for info in tables.storage.ls(tables.root, {SUFFIX}))


def _samples(tables: Tables) -> list[str]:
    """The shards of samples."""
    return [
        TableRef(dataset, SAMPLES, shard).path
        for dataset in tables.datasets()
        for shard in tables.shards(dataset, SAMPLES)
    ]


def _others(tables: Tables) -> list[str]:
    """All other tables, except the inventories (objects, not content), and the records of exports and of trained models, which
    say what was published and learnt.
    """
    paths = []
    for path in _files(tables):
        parts = path.split("/")
        is_inventory = parts[0] == DATASETS and parts[-1] == f"{INVENTORY}{SUFFIX}"
        is_samples = parts[0] == DATASETS and parts[2] == SAMPLES
        is_exported = parts[0] == EXPORTS and parts[-1] in (MANIFEST, BUCKETS)
        is_learnt = parts[0] == CLASSIFIERS and len(parts) > 3  # classifiers/NAME/MODEL/FILE
        if not (is_inventory or is_samples or is_exported or is_learnt):
            paths.append(path)
    return paths


def _remove_clips(tables: Tables, meant: TakedownScope) -> None:
    """Delete the files of clips that are meant, or were cut out of films that are."""
    for dataset in tables.datasets():
        if not tables.exists(TableRef(dataset, CUT)):
            continue
        for row in tables.read(TableRef(dataset, CUT), columns=["sample_id", "film", "file"]).to_pylist():
            if row["file"] and {row["sample_id"], row["film"]} & meant.places.keys():
                tables.storage.delete(tables.uri(StoreFile(f"{CLIPS}/{dataset}/{row['file']}")))


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
