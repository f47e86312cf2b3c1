"""Which samples a takedown means.

Belongs here: samples by id, by address, by a query; the clips that were cut out of films. Does not belong here: removing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from arot_assets.datasets.forgotten import FilmSpan, forgotten
from arot_assets.exports.versions import ROOT as EXPORTS
from arot_assets.exports.versions import read_manifest, versions
from resources.defaults import Resources
from resources.errors import ArotError
from resources.tables import SAMPLES, TableRef, Tables
from resources.tables.refs import CUT
from resources.warehouse.views import files

SHORTEST = 8
"""Digits of a sample_id that are enough to name it, if they are unique."""
QUERIES = ("select", "with", "from")
ID = 32
"""Digits of a sample_id."""


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

    def __or__(self, other: "TakedownScope") -> "TakedownScope":
        """Both."""
        both = {s: [*self.places.get(s, ()), *other.places.get(s, ())] for s in (*self.places, *other.places)}
        return TakedownScope({s: list(dict.fromkeys(uris)) for s, uris in both.items()}, self.sizes | other.sizes)


def find_meant(resources: Resources, wanted: Sequence[str]) -> TakedownScope:
    """The samples that are named: by sample_id or its first digits, by address, or by a query; of films, their clips too.

    An address means whatever has been read from it: an object that was replaced has been several samples.

    Args:
        resources: the store.
        wanted: each of them one of the three. A query gives a column ``sample_id``.

    Raises:
        TakedownError: nothing is called so, or several samples are, or a query fails or has no such column.
    """
    known = _known(resources)
    by_place: dict[str, set[str]] = {}
    for sample, (uris, _) in known.items():
        for uri in uris:
            by_place.setdefault(uri, set()).add(sample)
    found: set[str] = set()
    for one in wanted:
        words = one.split(maxsplit=1)
        if len(words) == 2 and words[0].lower() in QUERIES:  # a word, and what follows it
            found |= _queried(resources, one) & known.keys()
        elif one in by_place:
            found |= by_place[one]
        else:
            digits = one.strip().lower()
            some = sorted(k for k in known if k.startswith(digits)) if len(digits) >= SHORTEST else []
            if len(some) != 1:
                what = f"{len(some)} samples begin with" if some else "there is no sample or address"
                raise TakedownError(
                    f"{what} '{one}'; give at least {SHORTEST} digits of a sample_id, an address as in `samples.uri`, or a query"
                )
            found |= {*some}
    told = forgotten(resources.tables)
    shared = {id(sizes): sizes for s in found if (sizes := told.get(s, {}).get("bytes"))}
    sizes = {n for s in found for n in known[s][1]}.union(*shared.values())
    scope = TakedownScope({s: list(dict.fromkeys(known[s][0])) for s in sorted(found)}, frozenset(sizes))
    return scope | clips_of(resources.tables, scope, known)


def clips_of(
    tables: Tables, meant: TakedownScope, known: Mapping[str, tuple[Sequence[str], Sequence[int]]] | None = None
) -> TakedownScope:
    """The clips that were cut out of films that are meant, and of clips of these, and those that share frames with clips that are
    meant: they show the same.

    Args:
        tables: the store.
        meant: the films, among other samples.
        known: sample_id -> its addresses and sizes.
    """
    columns = ["sample_id", "film", "start_pts", "end_pts"]
    cut = [
        row
        for dataset in tables.datasets()
        if tables.exists(TableRef(dataset, CUT))
        for row in tables.read(TableRef(dataset, CUT), columns=columns).to_pylist()
        if row["sample_id"]
    ]
    shown: dict[str, list[tuple[int, int]]] = {}
    for row in cut:
        if row["sample_id"] in meant.places:
            shown.setdefault(row["film"], []).append((row["start_pts"], row["end_pts"]))
    films = set(meant.places)
    found = {
        row["sample_id"]
        for row in cut
        if any(row["start_pts"] < end and start < row["end_pts"] for start, end in shown.get(row["film"], ()))
    }
    while more := {row["sample_id"] for row in cut if row["film"] in films} - found:
        found |= more
        films = more
    nothing: tuple[Sequence[str], Sequence[int]] = ((), ())
    of = {clip: (known or {}).get(clip, nothing) for clip in sorted(found - meant.places.keys())}
    return TakedownScope(
        {clip: list(dict.fromkeys(uris)) for clip, (uris, _) in of.items()},
        frozenset(size for _, sizes in of.values() for size in sizes),
    )


def spans_of(tables: Tables, meant: TakedownScope) -> list[FilmSpan]:
    """The spans of films that clips among the samples show."""
    columns = ["sample_id", "film", "start_pts", "end_pts"]
    return sorted(
        {
            (row["film"], row["start_pts"], row["end_pts"])
            for dataset in tables.datasets()
            if tables.exists(TableRef(dataset, CUT))
            for row in tables.read(TableRef(dataset, CUT), columns=columns).to_pylist()
            if row["sample_id"] in meant.places and row["film"] not in meant.places
        }
    )


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
            sizes.extend([size] if size is not None else [])
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
