"""Trained models that have seen samples of a takedown: naming them, and taking pictures and names out of their pages.

What a model has learnt stays in its weights until it is trained again; which samples it saw (``split.parquet``) is the record by
which it is found.
"""

import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from arot_assets.classifiers.promotion import CHECKPOINTS, classifier_file, current, digests, latest
from arot_assets.classifiers.promotion import ROOT as CLASSIFIERS
from arot_assets.takedown.rows import NamesMeant, count_hits
from resources.tables import Tables

SPLIT, LABELS, EVALUATION, PAGE = "split.parquet", "labels.parquet", "evaluation.json", "report.html"
SHEET = re.compile(rb'<img alt="worst mistakes" [^>]*>')


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


def retrained_by(heads: Sequence[TrainedModel], tables: Tables) -> list[str]:
    """The classifiers whose newest model has seen the samples: a run trains them again, without them."""
    return sorted({h.classifier for h in heads if (last := latest(tables, h.classifier)) and last.digest == h.digest})


def clean_pages(tables: Tables, meant: NamesMeant) -> None:
    """Take the samples out of what is told of models: of the mistakes of each, and the picture of these if it may show one."""
    for name in tables.list(CLASSIFIERS):
        for digest in digests(tables, name):
            place = classifier_file(name, digest, EVALUATION)
            if not tables.exists(place) or not meant.is_in(text := tables.read_bytes(place).decode()):
                continue
            page = classifier_file(name, digest, PAGE)
            if tables.exists(page):  # before the list by which it is found
                cleaned = SHEET.sub(b"<p>Taken down.</p>", tables.read_bytes(page))
                tables.write_bytes(meant.out_of(cleaned.decode()).encode(), page)
            told = json.loads(text)
            told["mistakes"] = [one for one in told["mistakes"] if one["sample_id"] not in meant.ids]
            tables.write_bytes(meant.out_of(json.dumps(told, indent=2)).encode(), place)


def remove_checkpoints(tables: Tables, meant: NamesMeant) -> None:
    """Remove unfinished trainings whose labels have one of the samples: they would not be gone on with any more."""
    for name in tables.list(CLASSIFIERS):
        labels, checkpoints = classifier_file(name, LABELS), tables.list(f"{CLASSIFIERS}/{name}/{CHECKPOINTS}")
        if checkpoints and tables.exists(labels) and count_hits(tables, labels, meant):
            for file in checkpoints:
                tables.storage.delete(tables.uri(classifier_file(name, CHECKPOINTS, file)))
