"""Takedowns: content leaves the store wherever it is, and is kept out.

Belongs here: which samples are meant, removing what the tables and caches have of them, and what a person must do elsewhere.
Does not belong here: exported versions (``exports/takedown.py``), the list that keeps content out (``datasets/forgotten.py``).

The tombstone is written first, so nothing that runs meanwhile brings the content back, and calling it again goes on where it
stopped. Of an object that is still at its source, ``samples`` keeps a row with the status ``forgotten`` and the reason.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.captions.stills import remove_stills
from arot_assets.classifiers.promotion import ROOT as CLASSIFIERS
from arot_assets.classifiers.promotion import classifier_file, current, digests, latest
from arot_assets.datasets.duplicates import shard_footer
from arot_assets.datasets.forgotten import add_forgotten, forgotten, forgotten_row
from arot_assets.datasets.turns import in_turn
from arot_assets.exports.takedown import PublishedVersion, affected, remove_versions
from arot_assets.exports.versions import ROOT as EXPORTS
from arot_assets.exports.versions import read_manifest, versions
from resources.defaults import Resources
from resources.errors import ArotError
from resources.storage.cache import Cache, default_bytes, default_folder
from resources.storage.storage import StorageError
from resources.tables import INVENTORY, SAMPLES, StoreFile, TableRef, Tables
from resources.tables.refs import CLIPS, CUT, DATASETS, RATINGS, SUFFIX
from resources.warehouse.views import files

SHORTEST = 8
"""Digits of a sample_id that are enough to name it, if they are unique."""
QUERIES = ("select", "with", "from")
SPLIT = "split.parquet"
INPUTS = "inputs"
"""Footer key of tables that are made from ratings: without it they are made again."""


class TakedownError(ArotError):
    """A sample that cannot be found; the message says what to give."""


@dataclass(frozen=True)
class TakedownScope:
    """The samples of a takedown.

    Attributes:
        places: sample_id -> the addresses of its objects.
        sizes: bytes of these objects.
    """

    places: Mapping[str, Sequence[str]]
    sizes: frozenset[int]


@dataclass(frozen=True)
class TrainedModel:
    """A trained model that has seen samples of a takedown.

    Attributes:
        classifier: its name.
        digest: the model.
        splits: as what it saw them: train, val, test.
        scores: whether it is the one that scores.
    """

    classifier: str
    digest: str
    splits: tuple[str, ...]
    scores: bool


@dataclass
class TakedownResult:
    """What a takedown did.

    Attributes:
        rows: file below the store -> rows that were removed or emptied.
        cached: files that were removed from this machine's cache.
        left: published versions that only their owner can remove.
    """

    rows: dict[str, int] = field(default_factory=dict)
    cached: int = 0
    left: list[PublishedVersion] = field(default_factory=list)


def find_meant(resources: Resources, wanted: Sequence[str]) -> TakedownScope:
    """The samples that are named: by sample_id or its first digits, by address, or by a query.

    Args:
        resources: the store.
        wanted: each of them one of the three. A query gives a column ``sample_id``.

    Raises:
        TakedownError: nothing is called so, or several samples are, or a query fails or has no such column.
    """
    known = _known(resources)
    by_place = {uri: sample for sample, (uris, _) in known.items() for uri in uris}
    found: set[str] = set()
    for one in wanted:
        if one.split(maxsplit=1)[0].lower() in QUERIES and " " in one.strip():
            found |= _queried(resources, one) & known.keys()
        elif one in by_place:
            found.add(by_place[one])
        else:
            some = sorted(k for k in known if k.startswith(one)) if len(one) >= SHORTEST else []
            if len(some) != 1:
                what = f"{len(some)} samples begin with" if some else "there is no sample or address"
                raise TakedownError(
                    f"{what} '{one}'; give at least {SHORTEST} digits of a sample_id, an address as in `samples.uri`, or a query"
                )
            found |= {*some}
    return TakedownScope({s: known[s][0] for s in sorted(found)}, frozenset(n for s in found for n in known[s][1]))


def heads_trained_on(tables: Tables, samples: Collection[str]) -> list[TrainedModel]:
    """The trained models that have seen one of the samples."""
    wanted = pa.array(list(samples), pa.string())
    found = []
    for name in tables.list(CLASSIFIERS):
        scoring = current(tables, name)
        for digest in digests(tables, name):
            place = classifier_file(name, digest, SPLIT)
            if not tables.exists(place):
                continue
            seen = tables.read(place, columns=["sample_id", "split"])
            splits = seen.filter(pc.is_in(seen["sample_id"], value_set=wanted))["split"].unique().to_pylist()
            if splits:
                found.append(
                    TrainedModel(name, digest, tuple(sorted(splits)), scoring is not None and scoring.digest == digest)
                )
    return found


def forget(resources: Resources, meant: TakedownScope, why: str, run: str = "arot forget") -> TakedownResult:
    """Take samples out of every table, of this machine's cache and of the exports, for ever.

    Args:
        resources: the store.
        meant: the samples.
        why: the reason, for the record.
        run: who does it, as runs that wait for a table are told.

    Raises:
        StorageError: something cannot be removed; the samples are on the list, and calling again goes on.
    """
    tables = resources.tables
    samples = list(meant.places)
    add_forgotten(tables, samples, why, datetime.now(UTC).isoformat(timespec="seconds"))
    done = TakedownResult()
    of_films = _remove_clips(tables, meant)
    for path in _tables_with_rows(tables):
        place = StoreFile(path)
        in_turn(tables, [""], lambda _, p=place: [p], partial(_take_out, tables, place, meant, why, done), run)  # type: ignore[misc]
    cache = Cache(default_folder(), default_bytes())
    done.cached = cache.remove_content(meant.sizes, lambda path: _hash_of(path) in meant.places)
    done.cached += remove_stills(cache, {*meant.places, *of_films})
    done.left = remove_versions(resources, samples)
    resources.warehouse.refresh()
    return done


def _remove_clips(tables: Tables, meant: TakedownScope) -> set[str]:
    """Delete the files of clips that are meant, or were cut out of films that are; gives the ids of these clips."""
    removed: set[str] = set()
    for dataset in tables.datasets():
        if not tables.exists(TableRef(dataset, CUT)):
            continue
        for row in tables.read(TableRef(dataset, CUT), columns=["sample_id", "film", "file"]).to_pylist():
            if row["file"] and {row["sample_id"], row["film"]} & meant.places.keys():
                tables.storage.delete(tables.uri(StoreFile(f"{CLIPS}/{dataset}/{row['file']}")))
                removed.add(row["sample_id"])
    return removed


def published(tables: Tables, samples: Collection[str]) -> list[PublishedVersion]:
    """The exported versions that contain one of the samples."""
    return affected(tables, samples)


def _known(resources: Resources) -> dict[str, tuple[list[str], list[int]]]:
    """Every sample of the store, of the exports and of the list: its addresses and sizes."""
    tables = resources.tables
    found: dict[str, tuple[list[str], list[int]]] = {sample: ([], []) for sample in forgotten(tables)}
    for dataset in tables.datasets():
        if not tables.shards(dataset, SAMPLES):
            continue
        rows = resources.warehouse.rows(
            f"select sample_id, uri, bytes from {files(tables, dataset, SAMPLES, alike=True)} where sample_id is not null"
        )
        for sample, uri, size in rows:
            uris, sizes = found.setdefault(sample, ([], []))
            uris.append(uri)
            sizes.append(size)
    for name in tables.list(EXPORTS):
        if "." not in name:
            for receipt in versions(tables, name):
                for sample in read_manifest(tables, name, receipt.version)["sample_id"].to_pylist():
                    found.setdefault(sample, ([], []))
    return found


def _queried(resources: Resources, query: str) -> set[str]:
    try:
        with resources.warehouse.connect(query) as con:
            asked = con.execute(f"select sample_id from ({query.rstrip().rstrip(';')}\n)")
            return {str(sample) for (sample,) in asked.fetchall() if sample is not None}
    except duckdb.Error as error:
        raise TakedownError(
            f"the query cannot be run: {str(error).partition(chr(10))[0]}; it must give `sample_id`"
        ) from error


def _tables_with_rows(tables: Tables) -> list[str]:
    """Every Parquet file of the store, except the inventories (objects, not content), and the records of exports and of trained
    models, which say what was published and learnt.
    """
    paths = []
    for info in tables.storage.ls(tables.root, {SUFFIX}):
        path = info.uri.removeprefix(f"{tables.root}/")
        parts = path.split("/")
        is_inventory = parts[0] == DATASETS and parts[-1] == f"{INVENTORY}{SUFFIX}"
        is_record = parts[0] == EXPORTS or (parts[0] == CLASSIFIERS and len(parts) > 3)
        if not (is_inventory or is_record):
            paths.append(path)
    return sorted(paths)


def _take_out(
    tables: Tables, place: StoreFile, meant: TakedownScope, why: str, done: TakedownResult, _turn: str = ""
) -> None:
    """Remove the rows of a file that name one of the samples; of ``samples``, empty them."""
    try:
        table = tables.read(place)
    except StorageError as error:
        if error.kind != "not_found":
            raise
        return  # another run has replaced it
    parts = place.path.split("/")
    hit = _naming(table, meant, by_place=parts[0] == RATINGS)
    count = int(pc.sum(hit).as_py() or 0)
    if not count:
        return
    footer = tables.footer(place)
    if parts[0] == DATASETS and parts[2] == SAMPLES:
        rows = [
            forgotten_row(row, why) if gone else row
            for row, gone in zip(table.to_pylist(), hit.to_pylist(), strict=True)
        ]
        kept = pa.Table.from_pylist(rows, schema=table.schema)
        footer |= shard_footer(kept, footer["samples_version"])
    else:
        kept = table.filter(pc.invert(hit))
        if parts[0] == RATINGS:
            footer.pop(INPUTS, None)
            kept = kept.replace_schema_metadata(None)
    tables.write(kept, place, footer=footer)
    done.rows[place.path] = count


def _naming(table: pa.Table, meant: TakedownScope, by_place: bool) -> pa.Array:
    """Whether each row names one of the samples, in whatever column.

    Args:
        table: any table.
        meant: the samples.
        by_place: whether addresses and their ends count, as in what raters said.
    """
    uris = [uri for uris in meant.places.values() for uri in uris]
    names = pa.array([*meant.places, *uris], pa.string())
    hit: pa.Array = pa.array([False] * table.num_rows, pa.bool_())
    for column, kind in zip(table.columns, table.schema.types, strict=True):
        values = column.combine_chunks()
        if pa.types.is_string(kind):
            found = pc.or_(pc.is_in(values, value_set=names), pc.is_in(pc.utf8_slice_codeunits(values, 0, 32), names))
            hit = pc.or_(hit, pc.fill_null(found, False))
        elif pa.types.is_list(kind) and pa.types.is_string(kind.value_type):
            told = [any(_means(one, meant, uris, by_place) for one in row or ()) for row in values.to_pylist()]
            hit = pc.or_(hit, pa.array(told, pa.bool_()))
    return hit


def _means(name: str | None, meant: TakedownScope, uris: Sequence[str], by_place: bool) -> bool:
    if not name:
        return False
    return (
        name[:32] in meant.places
        or name in uris
        or (by_place and any(uri.endswith(f"/{name.lstrip('/')}") for uri in uris))
    )


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def retrained_by(heads: Sequence[TrainedModel], tables: Tables) -> list[str]:
    """The classifiers whose newest model has seen the samples: a run trains them again, without them."""
    return sorted({h.classifier for h in heads if (last := latest(tables, h.classifier)) and last.digest == h.digest})
