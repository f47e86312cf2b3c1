"""The answer about one sample, in any process: its pictures are opened, the model is asked, the row is kept at once.

Belongs here: the unit of work of a captioner. Does not belong here: which samples are asked about (``build.py``), what a row says
of an answer (``ask.py``), how much may be asked (``budget.py``).

An answer is paid for, so it is kept before anything else happens: in a file of its own below ``answers/``, by the process and
thread that received it, under the name of its question.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

import pyarrow as pa

from arot_assets.captions.ask import ask, jpeg
from arot_assets.captions.budget import Budget
from arot_assets.captions.declaration import BudgetRule, CaptionsDeclaration
from arot_assets.captions.models import vlm_of
from arot_assets.captions.stills import sent_stills
from arot_assets.captions.table import caption_table
from arot_assets.datasets.places import Place, place_of
from arot_assets.media.file import DecodeError, File, Limits
from arot_assets.media.wants import STILL
from arot_assets.metrics.one_pass import UNREADABLE
from resources.storage import Storage, StorageError
from resources.tables import Unfinished
from resources.vlm.question import Vlm
from resources.warehouse import Warehouse

ANSWERS = "answers"
"""Folder of the store with answers of incomplete tables: they were paid for, so nothing but a complete table removes them."""
ANY_SIZE = Limits(math.inf)
"""Samples that are ok have passed the limits of their dataset."""


@dataclass(frozen=True)
class Asked:
    """What is asked about one sample.

    Attributes:
        sample_id, uri: of the sample.
        shard: in which it is.
        text: the rendered prompt.
        beside: addresses of the pictures after its own.
        samples: uri -> ``sample_id`` of those of these objects that can be read.
        key: names the question: equal however often a run is killed.
    """

    sample_id: str
    uri: str
    shard: str
    text: str
    beside: tuple[str, ...]
    samples: Mapping[str, str]
    key: str


@dataclass(frozen=True)
class Answering:
    """How samples are asked about.

    Attributes:
        declaration: what the user declared.
        version: of the rows.
        vlm: who is asked.
        budget: is told what each answer used.
        place: of the dataset.
    """

    declaration: CaptionsDeclaration
    version: str
    vlm: Vlm
    budget: Budget
    place: Place

    def __call__(self, one: Asked, answers: Unfinished) -> dict[str, Any]:
        """The row of one sample, which is kept.

        Raises:
            VlmError: the model cannot be used any more.
            StorageError: the store cannot be written, or the source is out of reach.
        """
        found = self._row(one)
        found |= {"sample_id": one.sample_id, "metric_version": self.version, "computed_at": datetime.now(UTC)}
        answers.keep(pa.Table.from_pylist([found], schema=caption_table(self.declaration).schema()), one.key)
        return found

    def _row(self, one: Asked) -> dict[str, Any]:
        """Without the sample's id; one that cannot be opened costs nothing, nor one without its pictures beside."""
        images: list[bytes] = []
        medium, files = self.place.medium, _files(self.place, one.samples)
        for uri in (one.uri, *one.beside):
            try:
                if self.declaration.stills is not None:
                    images.extend(sent_stills(medium, partial(files, uri), one.sample_id, self.declaration))
                    continue
                with medium.open(files(uri), frozenset({STILL}), ANY_SIZE) as view:
                    images.append(jpeg(next(iter(view.stills())).image.rgb, self.declaration.image))
            except StorageError as error:
                if error.is_outage:
                    raise
                return self._unasked(f"{UNREADABLE}{error.reason}")
            except DecodeError as error:
                return self._unasked(f"{error.status}: {error.reason}")
        return ask(self.declaration, self.vlm, self.budget, one.key, tuple(images), one.text)

    def _unasked(self, reason: str) -> dict[str, Any]:
        self.budget.end(0, 0, 0)
        return {"status": "failed", "reason": reason}


def _files(place: Place, samples: Mapping[str, str]) -> Callable[[str], File]:
    """``uri -> File`` of these objects; any other raises StorageError."""
    found = place.files(samples)

    def of(uri: str) -> File:
        if uri not in samples:
            raise StorageError(f"'{uri}' is no readable object of the dataset; correct `beside`", kind="not_found")
        return found(uri)

    return of


@dataclass(frozen=True)
class Answerer:
    """Asks a local model about one sample, in any process, which loads the model once: the unit of work of an engine.

    The budget is the driver's, which has taken what a question may use before it is sent here, and reads what it used in its row.

    Attributes:
        storage: reaches the files.
        warehouse: over the lake.
        declaration: with ``local``.
        version: of the rows.
        retry: whether failed rows are asked about again.
    """

    storage: Storage
    warehouse: Warehouse
    declaration: CaptionsDeclaration
    version: str
    retry: bool = False

    @cached_property
    def answering(self) -> Answering:
        """Made once in a process: the model is loaded.

        Raises:
            VlmError: it cannot be.
        """
        vlm = vlm_of(self.declaration)
        vlm.check(self.declaration.fields)
        place = place_of(self.storage, self.warehouse, self.declaration.dataset)
        return Answering(self.declaration, self.version, vlm, Budget(BudgetRule(), self.declaration.price), place)

    def __call__(self, one: Asked) -> dict[str, Any]:
        """The row of one sample: a process that was killed may have kept it, then nothing is asked.

        Raises:
            VlmError: the model cannot be used.
            StorageError: the store cannot be written, or the source is out of reach.
        """
        tables, dataset, name = self.warehouse.tables, self.declaration.dataset, self.declaration.name
        answers = Unfinished(tables, dataset, name, one.shard, self.version, ANSWERS)
        kept = answers.find(one.key)
        if kept is not None and kept.schema.names == caption_table(self.declaration).schema().names:
            row: dict[str, Any] = kept.to_pylist()[0]
            if row["status"] == "ok" or not self.retry:
                return row
        return self.answering(one, answers)
