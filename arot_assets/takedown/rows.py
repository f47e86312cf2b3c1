"""Which rows of a table name samples of a takedown, and the table without them.

Belongs here: comparing columns of whatever type, the footer, rewriting one file. Does not belong here: which files
(``takedown.py``).
"""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.datasets.duplicates import shard_footer
from arot_assets.datasets.forgotten import forgotten_row
from arot_assets.ratings.events import EVENTS, INPUTS
from arot_assets.takedown.scope import ID, TakedownScope
from resources.storage.storage import StorageError
from resources.tables import SAMPLES, RatingsRef, StoreFile, Tables, TablesError
from resources.tables.refs import DATASETS, RATINGS

DIGITS = re.compile(f"[0-9a-f]{{{ID}}}")
KEY = "sample_id"
ATTEMPTS = 100
"""How often a shard of samples is read again because a run that settles equal objects has replaced it meanwhile."""
Mask = Callable[[pa.RecordBatch | pa.Table, "NamesMeant"], pa.Array]
"""Whether each row names one of the samples."""


@dataclass(frozen=True)
class NamesMeant:
    """What samples are called: by ids (and by hashes and keys that begin with one), and by addresses.

    Attributes:
        ids: of the samples.
        addresses: of their objects.
    """

    ids: frozenset[str]
    addresses: frozenset[str] = field(default=frozenset())

    @classmethod
    def of(cls, meant: TakedownScope) -> "NamesMeant":
        """Those of a takedown."""
        return cls(frozenset(meant.places), frozenset(uri for uris in meant.places.values() for uri in uris))

    @cached_property
    def ends(self) -> frozenset[str]:
        """The addresses, and what follows each of their slashes: paths below any folder."""
        found = set(self.addresses)
        for address in self.addresses:
            parts = address.split("/")
            found |= {"/".join(parts[k:]) for k in range(1, len(parts))}
        return frozenset(found - {""})

    def have_id(self, values: pa.Array) -> pa.Array:
        """Whether texts are, or begin with, one of the ids."""
        ids = pa.array(self.ids, pa.string())
        return pc.or_(pc.is_in(values, value_set=ids), pc.is_in(pc.utf8_slice_codeunits(values, 0, ID), value_set=ids))

    def have_address(self, values: pa.Array) -> pa.Array:
        """Whether texts are one of the addresses."""
        return pc.is_in(values, value_set=pa.array(self.addresses, pa.string()))

    def is_in(self, text: str) -> bool:
        """Whether a text contains one of the ids."""
        return not self.ids.isdisjoint(DIGITS.findall(text))

    def out_of(self, text: str) -> str:
        """A text without the ids: of a JSON list of them, those that are not meant."""
        if not self.is_in(text):
            return text
        try:
            found = json.loads(text)
        except ValueError:
            found = None
        if isinstance(found, list) and all(isinstance(one, str) for one in found):
            return json.dumps([one for one in found if one[:ID] not in self.ids])
        return DIGITS.sub(lambda digits: "taken down" if digits[0] in self.ids else digits[0], text)


def hits(batch: pa.RecordBatch | pa.Table, meant: NamesMeant) -> pa.Array:
    """Whether each row names one of the samples, in whatever column.

    A row that says by ``sample_id`` whose it is is judged by ids alone: other content may be at the address by now.

    Args:
        batch: rows of any table.
        meant: the samples.
    """
    by_id = by_address = pa.array([False] * batch.num_rows, pa.bool_())
    for values in _columns(batch):
        if has_text(values.type):
            by_id = pc.or_(by_id, _named(values, meant.have_id))
            by_address = pc.or_(by_address, _named(values, meant.have_address))
    if KEY in batch.schema.names:
        by_address = pc.and_(by_address, pc.is_null(_whole(batch[KEY])))
    return pc.or_(by_id, by_address)


def take_out(tables: Tables, place: StoreFile, meant: NamesMeant, why: str) -> int:
    """Remove the rows of a file that name one of the samples; of ``samples``, empty them. Gives their number.

    Args:
        tables: the store.
        place: the file; if its table is shared by shards, it is reserved for this process.
        meant: the samples.
        why: the reason, which emptied rows give.

    Raises:
        StorageError: the store cannot be written.
    """
    parts = place.path.split("/")
    if parts[0] == DATASETS and parts[2] == SAMPLES:
        return _empty(tables, place, meant, why)
    mask: Mask = _of_events(tables, parts[1]) if parts[0] == RATINGS and EVENTS in parts else hits
    schema, count = tables.schema(place), count_hits(tables, place, meant)
    footer = {key: meant.out_of(text) for key, text in tables.footer(place).items()}
    if parts[0] == RATINGS:
        footer.pop(INPUTS, None)  # without it they are made again

    def kept() -> Iterator[pa.RecordBatch]:
        for batch in tables.batches(place, schema.names):
            yield batch.filter(pc.invert(mask(batch, meant)))

    tables.write_batches(kept(), schema.with_metadata(None), place, footer)
    return count


def count_hits(tables: Tables, place: StoreFile, meant: NamesMeant) -> int:
    """How many rows of a file name one of the samples, or one if only its footer does; reads columns with text alone.

    Raises:
        StorageError: the store cannot be read.
    """
    parts = place.path.split("/")
    mask: Mask = hits
    if parts[0] == RATINGS and EVENTS in parts:
        mask = _of_events(tables, parts[1])
    elif parts[0] == DATASETS and parts[2] == SAMPLES:
        mask = _of_samples
    columns = [field.name for field in tables.schema(place) if has_text(field.type)]
    count = sum(
        int(pc.sum(mask(batch, meant)).as_py() or 0) for batch in (tables.batches(place, columns) if columns else ())
    )
    return count or int(any(meant.is_in(text) for text in tables.footer(place).values()))


def has_text(kind: pa.DataType) -> bool:
    """Whether values of a type are texts, or have texts in them."""
    if pa.types.is_dictionary(kind):
        return has_text(kind.value_type)
    if pa.types.is_nested(kind):
        return any(has_text(kind.field(k).type) for k in range(kind.num_fields))
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _empty(tables: Tables, place: StoreFile, meant: NamesMeant, why: str) -> int:
    """Leave of the rows of a shard of samples only that their objects are at the source."""
    for left in reversed(range(ATTEMPTS)):
        version = tables.version(place)
        table, footer = tables.read(place), tables.footer(place)
        hit = _of_samples(table, meant)
        count = int(pc.sum(hit).as_py() or 0)
        if not count:
            return 0
        rows = [
            forgotten_row(row, why) if gone else row
            for row, gone in zip(table.to_pylist(), hit.to_pylist(), strict=True)
        ]
        kept = pa.Table.from_pylist(rows, schema=table.schema)
        try:
            tables.write(kept, place, footer | shard_footer(kept, footer["samples_version"]), replacing=version)
        except StorageError as error:
            if error.kind != "changed" or not left:
                raise
        else:
            return count
    raise AssertionError("the last attempt returns or raises")


def _of_samples(batch: pa.RecordBatch | pa.Table, meant: NamesMeant) -> pa.Array:
    return pc.fill_null(meant.have_id(_whole(batch[KEY])), False)


def _of_events(tables: Tables, name: str) -> Mask:
    """Whether events are about one of the samples: as their table says, else by what they call it."""
    about = _samples_of_events(tables, name)

    def mask(batch: pa.RecordBatch | pa.Table, meant: NamesMeant) -> pa.Array:
        found = []
        for row in batch.select(["event_id", "items"]).to_pylist():
            items = [item for item in row["items"] or () if item]
            samples = about.get(row["event_id"], ())
            named = any(item[:ID] in meant.ids for item in items)
            by_place = not samples and any(item.lstrip("/") in meant.ends or item in meant.ends for item in items)
            found.append(named or by_place or not meant.ids.isdisjoint(samples))
        return pa.array(found, pa.bool_())

    return mask


def _samples_of_events(tables: Tables, name: str) -> Mapping[str, Collection[str]]:
    """event_id -> the samples that it is about, for those that are known to be about any."""
    ref = RatingsRef(name)
    try:
        rows = tables.read(ref, columns=["event_id", "sample_id", "samples"]).to_pylist()
    except TablesError:
        return {}
    found = {row["event_id"]: row["samples"] or ([row["sample_id"]] if row["sample_id"] else []) for row in rows}
    return {event: samples for event, samples in found.items() if samples}


def _columns(batch: pa.RecordBatch | pa.Table) -> Iterator[pa.Array]:
    for column in batch.columns:
        yield _whole(column)


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _named(values: pa.Array, test: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """Whether a test holds for any text in each value."""
    kind = values.type
    if pa.types.is_dictionary(kind):
        return _named(values.dictionary_decode(), test)
    if pa.types.is_struct(kind):
        found = pa.array([False] * len(values), pa.bool_())
        for inner in values.flatten():
            if has_text(inner.type):
                found = pc.or_(found, _named(inner, test))
        return found
    if pa.types.is_map(kind):
        values = values.cast(pa.list_(pa.struct([pa.field("key", kind.key_type), pa.field("value", kind.item_type)])))
        kind = values.type
    if pa.types.is_nested(kind):
        inner = _named(pc.list_flatten(values), test)
        parents = pc.list_parent_indices(values).filter(inner)
        return pc.is_in(pa.array(range(len(values)), pa.int64()), value_set=parents.cast(pa.int64()))
    return pc.fill_null(test(values.cast(pa.string())), False)
