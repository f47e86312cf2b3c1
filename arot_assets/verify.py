"""Whether the store is what its own records say: every file whole, every row there, every digest the one that was noted.

Belongs here: the comparisons, and what is said about a difference. Does not belong here: whether work is missing (`arot status`),
what nothing refers to (``garbage.py``), exports (their own `arot export --verify`).
"""

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.classifiers.promotion import ROOT as CLASSIFIERS
from arot_assets.classifiers.promotion import classifier_file, digests, read_json
from arot_assets.datasets.conservation import ConservationResult, samples_conserved
from arot_assets.datasets.duplicates import shard_footer
from arot_assets.datasets.forgotten import FOLDER, FORGOTTEN
from arot_assets.datasets.places import medium_of, place_of
from arot_assets.datasets.presence import present_uris
from arot_assets.datasets.reach import digest, fetch
from arot_assets.metrics.conservation import rows_conserved
from arot_assets.progress import track
from arot_assets.takedown import interrupted
from resources.defaults import Resources
from resources.parallel import ordered_map
from resources.storage import StorageError
from resources.tables import GRAIN, INVENTORY, SAMPLES, StoreFile, TableRef, Tables
from resources.tables.refs import DATASETS, LEASES, SUFFIX

DIGESTS = ("samples_digest", "marks", "statuses")
"""Footer keys of a shard of samples that are computed from its rows."""
METRIC_VERSION = "metric_version"


@dataclass(frozen=True)
class VerifyReport:
    """What was looked at, and what is wrong.

    Attributes:
        tables: number of files of tables that were read whole.
        footers: number of files of tables of which the footer was read.
        objects: number of objects of sources that were read and hashed.
        models: number of files of trained models that were read and hashed.
        problems: one line each: the place, what is wrong, the remedy.
        others: number of other files of the store that were read: ratings, SQL models, records, settings.
        missing: one line for each table that lacks shards that others have: not made yet, or removed.
    """

    tables: int
    footers: int
    objects: int
    models: int
    problems: Sequence[str]
    others: int = 0
    missing: Sequence[str] = ()


def verify(resources: Resources, datasets: Sequence[str], share: float = 1.0, objects: int = 0) -> VerifyReport:
    """Compare the store with its records; changes nothing.

    Args:
        resources: the store and the sources.
        datasets: whose tables and objects; trained models are always all looked at.
        share: fraction of the files of tables that are read whole, 0 to 1; footers are read of all.
        objects: how many objects of each source are read and hashed, drawn at random; -1 for all.

    Raises:
        StorageError: the store cannot be reached.
    """
    problems: list[str] = []
    missing: list[str] = []
    whole = footers = read = 0
    draw = random.Random()
    for dataset in datasets:
        places = _places(resources.tables, dataset)
        footers += len(places)
        drawn = {place for place in places if draw.random() < share}
        damaged = _damaged(resources.tables, dataset, places, drawn, problems)
        whole += len(drawn)
        problems += _without_origin(resources.tables, dataset)
        missing += _without_shards(resources.tables, dataset)
        if not damaged:
            problems += _not_conserved(resources, dataset)
        if objects and not damaged:
            read += _hash_objects(resources, dataset, objects, draw, problems)
    models = _hash_models(resources.tables, problems)
    if stopped := interrupted(resources.tables).places:
        problems.append(
            f"a takedown of {len(stopped):,} samples is under way, or was interrupted: "
            f"`arot forget {next(iter(stopped))} --reason …` finishes it"
        )
    others = _read_others(resources.tables, share, draw, problems)
    return VerifyReport(whole, footers, read, models, problems, others, missing)


def _places(tables: Tables, dataset: str) -> list[TableRef]:
    """Every file of the tables of a dataset."""
    places = []
    for table in tables.of(dataset):
        shards = tables.shards(dataset, table)
        places += [TableRef(dataset, table, shard) for shard in shards] if shards else [TableRef(dataset, table)]
    return [place for place in places if tables.exists(place)]


def _damaged(
    tables: Tables, dataset: str, places: Sequence[TableRef], drawn: set[TableRef], problems: list[str]
) -> bool:
    """Read footers, and drawn files whole; whether any is damaged."""
    before = len(problems)
    with track(f"{dataset}: tables", len(places)) as advance:
        for place in places:
            if place in drawn:
                found = tables.damage(place)
                problems.extend([found] if found else [])
                if not found and place.table == SAMPLES:
                    problems += _wrong_digests(tables, place)
            elif not tables.is_readable(place):
                problems.append(str(tables.damage(place)))
            advance(1)
    return len(problems) > before


def _without_origin(tables: Tables, dataset: str) -> Iterator[str]:
    """Tables whose rows come from files that are not there."""
    samples, inventory = set(tables.shards(dataset, SAMPLES)), TableRef(dataset, INVENTORY)
    if samples and not tables.exists(inventory):
        yield (
            f"{tables.uri(inventory)}: it is missing; restore it from a backup, or `arot run {dataset}` lists the source again"
        )
    for table in tables.of(dataset):
        for shard in sorted(set(tables.shards(dataset, table)) - samples):
            uri = tables.uri(TableRef(dataset, SAMPLES, shard))
            yield f"{uri}: it is missing, and '{table}' has rows of it; `arot run {dataset}` reads its objects again"


def _without_shards(tables: Tables, dataset: str) -> Iterator[str]:
    """Tables that lack shards of samples."""
    samples = set(tables.shards(dataset, SAMPLES))
    for table in tables.of(dataset):
        there = set(tables.shards(dataset, table))
        if there and (lacking := sorted(samples - there)):
            more = f" and {len(lacking) - 1:,} more" if len(lacking) > 1 else ""
            yield f"{dataset}.{table} has no shard {lacking[0]}{more}: `arot run {dataset}` makes what is not made yet"


def _read_others(tables: Tables, share: float, draw: random.Random, problems: list[str]) -> int:
    """Read the files of the store that are no table of a dataset; gives how many. JSON is always read."""
    read = 0
    found = [info.uri.removeprefix(f"{tables.root}/") for info in tables.storage.ls(tables.root, {SUFFIX, ".json"})]
    mine = [path for path in found if path.partition("/")[0] not in (DATASETS, LEASES)]
    with track("other files of the store", len(mine)) as advance:
        for path in mine:
            place = StoreFile(path)
            if path.endswith(SUFFIX) and draw.random() < share:
                read += 1
                problems.extend([said] if (said := tables.damage(place)) else [])
            elif path.endswith(".json"):
                read += 1
                problems.extend(_wrong_json(tables, place))
            advance(1)
    return read


def _wrong_json(tables: Tables, place: StoreFile) -> Iterator[str]:
    try:
        found = json.loads(tables.read_bytes(place))
    except ValueError as error:
        yield f"{tables.uri(place)}: it is no JSON ({error}); restore it from a backup"
        return
    except StorageError as error:
        if error.kind != "not_found":
            yield f"{tables.uri(place)}: {error.reason}"
        return
    listed = found if place == FORGOTTEN else found["samples"] if place.path.startswith(f"{FOLDER}/") else ()
    if wrong := [one for one in listed if not re.fullmatch("[0-9a-f]{32}", one)]:
        yield f"{tables.uri(place)}: '{wrong[0]}' is no sample_id, so what was taken down may come back; restore it from a backup"


def _wrong_digests(tables: Tables, place: TableRef) -> Iterator[str]:
    """Whether the rows of a shard of samples are those that its footer was written for."""
    footer, rows = tables.footer(place), tables.read(place)
    expected = shard_footer(rows, footer["samples_version"])
    for key in DIGESTS:
        if key in footer and footer[key] != expected[key]:
            yield (
                f"{tables.uri(place)}: its rows are not those of its footer ({key}); `arot rm {tables.uri(place)}` removes it, "
                "then `arot run` makes it again"
            )


def _not_conserved(resources: Resources, dataset: str) -> Iterator[str]:
    """Rows that are lost, or too many."""
    warehouse, tables = resources.warehouse, resources.tables
    if not tables.exists(TableRef(dataset, INVENTORY)) or not tables.shards(dataset, SAMPLES):
        return
    import duckdb

    # what a film that cannot be decoded, or has no sound, has no row in
    decoded = {table.name for table in medium_of(tables, dataset).tables}
    compared: dict[str, Callable[[], ConservationResult]] = {SAMPLES: partial(samples_conserved, warehouse, dataset)}
    for table in tables.of(dataset):
        footers = tables.footers(dataset, table).values()
        by_sample = footers and all(METRIC_VERSION in f.strings and GRAIN not in f.strings for f in footers)
        if table != SAMPLES and by_sample:
            compared[table] = partial(rows_conserved, warehouse, dataset, table)
        elif (
            table not in decoded
            and footers
            and all(METRIC_VERSION in f.strings and "samples_digest" in f.strings for f in footers)
        ):
            compared[table] = partial(rows_conserved, warehouse, dataset, table, several=True)
    for table, compare in compared.items():
        folder = tables.folder(TableRef(dataset, table))
        try:
            result = compare()
        except duckdb.Error as error:  # pages that a share did not read
            yield f"{folder}: a file is damaged ({error}); `arot verify {dataset}` reads them all and names it"
            continue
        if not result.holds:
            yield (
                f"{dataset}.{table}: {result}, such as {dict(result.examples[0])}; `arot rm -r {folder}` removes the table, "
                f"then `arot run {dataset}` makes it again"
            )


def _hash_objects(resources: Resources, dataset: str, objects: int, draw: random.Random, problems: list[str]) -> int:
    """Read objects of the source and compare their SHA-256 with the one in ``samples``; gives how many."""
    tables, warehouse = resources.tables, resources.warehouse
    rows: list[tuple[str, str]] = []
    for shard in tables.shards(dataset, SAMPLES):
        present = pa.array(sorted(present_uris(warehouse, dataset, shard)), pa.string())
        found = tables.read(TableRef(dataset, SAMPLES, shard), columns=["uri", "sha256"])
        found = found.filter(pc.and_(pc.is_valid(found["sha256"]), pc.is_in(found["uri"], value_set=present)))
        rows += zip(found["uri"].to_pylist(), found["sha256"].to_pylist(), strict=True)
    drawn = rows if objects < 0 else draw.sample(rows, min(objects, len(rows)))
    place = place_of(resources.storage, warehouse, dataset)

    def look(row: tuple[str, str]) -> str | None:
        uri, noted = row
        try:
            content, _ = fetch(place.storage, uri, place.medium.by_path)
            now = digest(content)[0]
        except StorageError as error:
            return f"{uri}: {error.reason}"
        changed = "its bytes are not those that were ingested; if they may be, `arot run` ingests them, else restore it"
        return None if now == noted else f"{uri}: {changed}"

    with track(f"{dataset}: objects of the source", len(drawn)) as advance:
        for said in ordered_map(look, drawn):
            problems.extend([said] if said else [])
            advance(1)
    return len(drawn)


def _hash_models(tables: Tables, problems: list[str]) -> int:
    """Compare the files of trained models with the hashes in their entries; gives how many."""
    count = 0
    for name in tables.list(CLASSIFIERS):
        for model in digests(tables, name):
            try:
                files = read_json(tables, name, model, "entry.json")["files"]
            except (ValueError, KeyError):
                continue  # told with all other JSON
            for file, noted in files.items():
                place = classifier_file(name, model, file)
                count += 1
                if not tables.exists(place):
                    said = "it is missing"
                elif hashlib.sha256(tables.read_bytes(place)).hexdigest() != noted:
                    said = "its bytes are not those that were trained"
                else:
                    continue
                problems.append(f"{tables.uri(place)}: {said}; restore it from a backup, or train the model again")
    return count
