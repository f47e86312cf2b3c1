"""The images of a dataset that are most like another image or a text, from its stored embeddings.

Belongs here: making the query, and what is shown of the samples that are found. Does not belong here: the comparison
(``metrics/nearest.py``), the models (``resources.models``).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from arot_assets.datasets.places import medium_of
from arot_assets.local_paths import LocalPaths
from arot_assets.media.file import File, Limits
from arot_assets.media.wants import STILL
from arot_assets.metrics.build import metric_versions
from arot_assets.metrics.metric import Metric
from arot_assets.metrics.nearest import Nearest, Query, nearest
from arot_assets.metrics.registry import get_metric, known_metrics
from arot_assets.metrics.vectors import VECTOR, vectors_of
from arot_assets.report.answers import Example
from arot_assets.report.page import STYLE, Thumbnail, figure
from resources.errors import ArotError
from resources.models.entries import find_entry
from resources.tables import TableRef, Tables
from resources.warehouse.views import quote

if TYPE_CHECKING:
    from resources.defaults import Resources


class SearchError(ArotError):
    """A search that cannot be made; the message says what to do."""


@dataclass(frozen=True)
class SearchHit:
    """One sample that was found, the most similar first."""

    similarity: float
    sample_id: str
    uri: str


def embedding_tables(tables: Tables, dataset: str) -> list[str]:
    """The tables of a dataset that have a column ``vector``."""
    there = []
    for table in tables.of(dataset):
        shards = tables.shards(dataset, table)
        if shards and VECTOR in tables.descriptions(TableRef(dataset, table, shards[-1])):
            there.append(table)
    return there


def chosen_table(resources: "Resources", dataset: str, asked: str | None) -> str:
    """The table to search in: the one asked for, else the first that can answer.

    Raises:
        SearchError: there is none.
    """
    there = embedding_tables(resources.tables, dataset)
    if asked is not None and asked not in there:
        raise SearchError(f"'{dataset}' has no embeddings '{asked}'; there are: {', '.join(there) or 'none'}")
    if not there:
        raise SearchError(
            f"'{dataset}' has no stored embeddings: add `embedding` to its metrics, then `arot run {dataset}`"
        )
    return asked or there[0]


def query_of_image(resources: "Resources", dataset: str, table: str, uri: str) -> Query:
    """An image in the space of a table's vectors: its stored vector if it is a sample, else it is computed.

    Raises:
        StorageError: it cannot be read.
        DecodeError: it is no image.
        SearchError: it is no sample, and the table is not made by a model of the catalogue.
    """
    content = resources.storage.read_bytes(uri)
    sample = hashlib.sha256(content).hexdigest()[:32]
    stored = _stored(resources.tables, dataset, table, sample)
    if stored is not None:
        vector, version = stored
        return Query(vector, [version], [sample])
    metric = _metric(table)
    assert metric.model is not None and metric.from_outputs is not None
    medium = medium_of(resources.tables, dataset)
    with medium.open(File.of(uri, content), frozenset({STILL}), Limits()) as view:
        (still,) = islice(view.stills(), 1)
        model = resources.models.get(metric.model)
        (row,) = metric.from_outputs(model.predict([model.prepare(still.image.rgb)]))
    return Query(np.asarray(row[VECTOR], np.float32), [_version(resources, dataset, metric)])


def query_of_text(resources: "Resources", dataset: str, table: str, text: str) -> Query:
    """A text in the space of a table's vectors.

    Raises:
        SearchError: the table is not made by a model of the catalogue.
        ModelError: the model has no text tower, or cannot be used.
    """
    metric = _metric(table)
    assert metric.model is not None
    (vector,) = resources.models.get(metric.model).encode_text([text])
    return Query(vector, [_version(resources, dataset, metric)])


def table_for_text(resources: "Resources", dataset: str, asked: str | None) -> str:
    """The table that a text is searched in: the one asked for, else the first whose model has a text tower.

    Raises:
        SearchError: there is none.
    """
    there = embedding_tables(resources.tables, dataset)
    with_text = [t for t in there if (model := _model(t)) and find_entry(model).family == "clip"]
    if asked is None and not with_text:
        raise SearchError(
            f"'{dataset}' has no embeddings of a model with a text tower, so text cannot be searched for (it has: "
            f"{', '.join(there) or 'none'}); add `clip_b16_hub` or `siglip2_so400m` to its metrics, then `arot run {dataset}`"
        )
    return chosen_table(resources, dataset, asked or with_text[0])


def search(resources: "Resources", dataset: str, table: str, query: Query, top: int) -> tuple[list[SearchHit], Nearest]:
    """The most similar samples that are at the source, and what was compared."""
    wanted = top
    while True:
        answer = nearest(resources.tables, dataset, table, query, wanted)
        with resources.warehouse.connect() as con:
            con.register("wanted", pa.table({"sample_id": [s for s, _ in answer.matches]}))
            rows = con.execute(
                f"select sample_id, uri from {quote(dataset)}.samples semi join wanted using (sample_id) where status = 'ok'"
            ).fetchall()
        uris: Mapping[str, str] = dict(rows)
        found = [SearchHit(similarity, s, uris[s]) for s, similarity in answer.matches if s in uris]
        if len(found) >= top or len(answer.matches) < wanted:  # some may have left the source
            return found[:top], answer
        wanted *= 4


def similar_page(title: str, found: list[SearchHit], thumbnail: Thumbnail, paths: LocalPaths) -> str:
    """A contact sheet of what was found, as one self-contained HTML file.

    Args:
        title: what was looked for.
        found: the samples.
        thumbnail: makes the pictures.
        paths: knows the sources of the dataset: the page is handed on, so it tells nothing of this machine's folders.
    """
    shown = (Example(f.uri, f.sample_id, f"{f.similarity:.3f}") for f in found)
    figures = "".join(figure(example, thumbnail(example), paths) for example in shown)
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{STYLE}</style><h1>{escape(title)}</h1>"
        f"<p>{len(found):,} images, the most similar first; below each its cosine similarity.</p>"
        f"<div class=sheet>{figures}</div>\n"
    )


def _model(table: str) -> str | None:
    return get_metric(table).model if table in known_metrics() else None


def _metric(table: str) -> Metric:
    if _model(table) is None:
        raise SearchError(
            f"'{table}' is not made by a model of the catalogue: only images of the dataset can be looked for in it"
        )
    return get_metric(table)


def _version(resources: "Resources", dataset: str, metric: Metric) -> str:
    return metric_versions([metric], resources.models, medium_of(resources.tables, dataset))[metric.name]


def _stored(tables: Tables, dataset: str, table: str, sample: str) -> tuple[NDArray[np.float32], str] | None:
    """The vector of a sample, and its version; None if there is none."""
    for shard in tables.shards(dataset, table):
        ids = tables.read(TableRef(dataset, table, shard), ["sample_id", "status"])
        place = pc.and_(pc.equal(ids["sample_id"], sample), pc.equal(ids["status"], "ok"))
        if pc.any(place).as_py():
            rows = tables.read(TableRef(dataset, table, shard), ["metric_version", VECTOR]).filter(place)
            return vectors_of(rows[VECTOR])[0].astype(np.float32), str(rows["metric_version"][0].as_py())
    return None
