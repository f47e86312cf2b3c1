"""Writes docs/columns.md: every column of every table, from the code that makes it.

    python docs/columns.py           writes the page
    python docs/columns.py --print   prints it

Belongs here: laying out what the code says of its columns. What a column means is said in the code alone.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pyarrow as pa

from arot_assets.captions.camera import COLUMNS as CAMERA
from arot_assets.captions.quality import COLUMNS as QUALITY
from arot_assets.captions.table import ANSWER
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.entry import score_columns
from arot_assets.clips.target import SCHEMA as CLIPS
from arot_assets.datasets import inventory, samples
from arot_assets.datasets.reach import OPTED_OUT
from arot_assets.datasets.sidecars import NOTES as SIDECAR_NOTES
from arot_assets.markdown import write_table
from arot_assets.media.image.medium import IMAGE
from arot_assets.media.image.probe import NOTES
from arot_assets.media.video.columns import NOTES as NOTES_OF_FILMS
from arot_assets.media.video.columns import NOTES_OF_DECODED
from arot_assets.media.video.medium import VIDEO
from arot_assets.metrics.metric import Column, metric_schema
from arot_assets.metrics.registry import get_metric, known_metrics
from arot_assets.ratings import joined, label_errors, queue, schemas, split
from arot_assets.ratings.raters import RATERS_SCHEMA
from resources.models.entries import known_models

PAGE = Path(__file__).with_name("columns.md")
INTRODUCTION = """\
# Tables and columns

This page is written by `python docs/columns.py` from the code; do not edit it.

Each dataset is a schema in DuckDB. The tables below are of the dataset `demo`. The same descriptions stand in the Parquet
files, in the Dagster UI and in the catalogue:

```console
$ arot sql "select column_name, comment from duckdb_columns() \\
    where schema_name = 'demo' and table_name = 'phash' and column_name = 'mirrored'"
│ mirrored │ the same hash of the image flipped left to right │
```
"""


def page() -> str:
    """The whole page as Markdown."""
    return "\n".join(_parts())


def _parts() -> Iterator[str]:
    yield INTRODUCTION
    yield "## demo.inventory\n\nEvery object seen at the source, present or gone.\n"
    yield _fields(inventory.SCHEMA)
    yield "## demo.samples\n\nOne row for each object, whatever became of it.\n"
    yield _fields(samples.samples_schema(IMAGE))
    yield "`notes` holds:\n"
    notes = {
        **NOTES,
        **SIDECAR_NOTES,
        OPTED_OUT: "its server forbids training on it (`X-Robots-Tag: noai`); taken because of `honour_opt_out: false`",
    }
    yield _notes(notes)
    yield "## Every metric table\n\nOne row for each `ok` sample. Each metric table has these columns, and its own:\n"
    yield _fields(metric_schema(()))
    for name in sorted(known_metrics() - set(known_models())):
        metric = get_metric(name)
        yield f"## demo.{name}\n\n{metric.description} Version {metric.version}.\n"
        yield _columns(metric.columns)
    yield (
        "## Tables of models\n\nEach entry of the model catalogue (`arot models`) is a metric of its own name, too; its columns "
        "follow from its outputs, and `arot models show NAME` lists them.\n"
    )
    yield (
        "## Scores of a classifier\n\nThe table has the classifier's name; here `demo.style` of the demo. It has the columns "
        "of a metric table, and:\n"
    )
    style = {
        "name": "style",
        "dataset": "demo",
        "labels": {"from_folder": 1, "classes": ["anime", "illustration", "photo"]},
    }
    yield _columns(score_columns(ClassifierDeclaration.model_validate(style)))
    yield "Of a regression it is `score`; of ordered levels `score`, the expected level, and `p_LEVEL`; of tags `p_TAG`.\n"
    yield (
        "## Captions\n\nThe table has the captioner's name. It has the columns of every metric table, one for each property of "
        "`fields`, and:\n"
    )
    yield _columns(ANSWER)
    yield (
        "## Quality of captions\n\nThe table `NAME_quality`, beside captioner `NAME`. It has the columns of each metric table "
        "and:\n"
    )
    yield _columns(QUALITY)
    yield "Of a captioner of films or clips whose `fields` have a text `camera`, also:\n"
    yield _columns(CAMERA)
    yield from _ratings()
    yield from _films()
    yield (
        "## demo.wide\n\n`samples` with the columns of every metric beside it, named `metric__column`: `cv2__brightness`, "
        "`style__label`. Samples that a metric has no row for have nulls there.\n"
    )


def _ratings() -> Iterator[str]:
    """The tables of ratings that are named ``quality``."""
    yield "## ratings.quality\n\nOne row for each event of the ratings `quality`, whatever became of it.\n"
    yield _fields(joined.SCHEMA)
    for name, schema, text in (
        ("scale", schemas.SCALE_SCHEMA, "One scale from scores, pairs and rankings."),
        ("labels", schemas.LABELS_SCHEMA, "What most raters said of each sample that has classes or labels."),
        ("raters", RATERS_SCHEMA, "How each rater rates."),
        ("split", split.SCHEMA, "Train, val and test, where `split` is declared."),
        ("queue", queue.SCHEMA, "What `arot review --queue` chose last."),
        (
            "label_errors",
            label_errors.SCHEMA,
            "Labels and what similar samples say of them, as the queue last judged them.",
        ),
    ):
        yield f"## quality.{name}\n\n{text}\n"
        yield _fields(schema)


def _notes(notes: Mapping[str, str]) -> str:
    return write_table(("note", "meaning"), ((f"`{k}`", v) for k, v in notes.items())) + "\n"


def _films() -> Iterator[str]:
    """The tables of a dataset of films that is named ``films``."""
    yield "## films.samples\n\nOf a dataset of films. The columns of samples of every dataset, and:\n"
    yield _columns(VIDEO.columns)
    yield "`notes` holds:\n"
    yield _notes(NOTES_OF_FILMS)
    for table in VIDEO.tables:
        yield f"## films.{table.name}\n\n{table.description} The columns of a metric table, and:\n"
        yield _columns(table.columns)
    yield "`films.decoded.notes` holds:\n"
    yield _notes(NOTES_OF_DECODED)
    yield "A metric of images has a row for each still there, with `n` and `pts` of the still before its own columns.\n"
    yield (
        "## clips.cut\n\nOf a dataset of clips: a row for each clip that its model asks for. `arot cut` writes the same as "
        "`clips.parquet` beside the files.\n"
    )
    yield _fields(CLIPS)


def _fields(schema: pa.Schema) -> str:
    texts = ((field.metadata or {}).get(b"description", b"").decode() for field in schema)
    rows = ((f"`{field.name}`", _type(field.type), text) for field, text in zip(schema, texts, strict=True))
    return write_table(("column", "type", "meaning"), rows) + "\n"


def _columns(columns: Iterable[Column]) -> str:
    rows = []
    for column in columns:
        bounds = (column.low, column.high)
        allowed = "" if bounds == (None, None) else " to ".join("any" if b is None else f"{b:,.10g}" for b in bounds)
        rows.append((f"`{column.name}`", _type(column.type), allowed, column.description))
    return write_table(("column", "type", "allowed", "meaning"), rows) + "\n"


def _type(kind: pa.DataType) -> str:
    name = {"float": "float32", "double": "float64"}.get(str(kind), str(kind))
    return name.replace("halffloat", "float16").replace("element: ", "").replace("item: ", "")


if __name__ == "__main__":
    if "--print" in sys.argv[1:]:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page(), encoding="utf-8")
