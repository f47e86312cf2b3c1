"""A training as a unit of work that any engine runs: from labels and a split in the store to a judged model.

Belongs here: what a training is told, where an unfinished one is kept, and its order: read, fit, judge. Does not belong here: the
trainers, judging (``judging.py``), whether there is anything to train and what is stored (``training.py``).

A process that is killed leaves its checkpoint in the store, and whoever begins the unit again continues from it.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from arot_assets.classifiers import news
from arot_assets.classifiers.data import Data, read_data
from arot_assets.classifiers.declaration import ClassifierDeclaration
from arot_assets.classifiers.inputs import TrainingInputs
from arot_assets.classifiers.judging import JudgedModel, judged
from arot_assets.classifiers.labels import labels_digest
from arot_assets.classifiers.promotion import CHECKPOINTS, CURVES, classifier_file
from arot_assets.classifiers.recipes import HeadSettings
from arot_assets.classifiers.trainers import FittedModel, TrainingError
from arot_assets.progress import track
from resources.models import Models
from resources.scratch import WorkingFolder
from resources.storage import Storage
from resources.storage.objects import is_local, local_path
from resources.tables import Tables
from resources.warehouse import Warehouse

LABELS, SPLIT = "labels.parquet", "split.parquet"


@dataclass(frozen=True)
class TrainingUnit:
    """One training, by what it is made from.

    Attributes:
        usable: versions of its inputs, and the digest of all that it depends on.
        labels: digest of the labels that this was decided by.
        heard: what ratings had said when they were read.
    """

    usable: TrainingInputs
    labels: str
    heard: news.Heard


@dataclass(frozen=True)
class StoredCheckpoint:
    """An unfinished training in the store: it belongs to the inputs it was begun with, and to no others."""

    tables: Tables
    name: str
    inputs: str

    def load(self) -> bytes | None:
        """See ``Checkpoints.load``."""
        place = classifier_file(self.name, CHECKPOINTS, f"{self.inputs}.pt")
        return self.tables.read_bytes(place) if self.tables.exists(place) else None

    def save(self, state: bytes) -> None:
        """See ``Checkpoints.save``."""
        self.tables.write_bytes(state, classifier_file(self.name, CHECKPOINTS, f"{self.inputs}.pt"))

    def clear(self) -> None:
        """The training is finished."""
        place = classifier_file(self.name, CHECKPOINTS, f"{self.inputs}.pt")
        if self.tables.exists(place):
            self.tables.storage.delete(self.tables.uri(place))


def train_unit(
    storage: Storage, warehouse: Warehouse, models: Models, declaration: ClassifierDeclaration, unit: TrainingUnit
) -> JudgedModel:
    """Train a model, or go on where a process that was killed left off, and judge it; only the checkpoint is written.

    Args:
        storage: reaches the images.
        warehouse: over the store.
        models: settings of devices, and the weights that a backbone starts from.
        declaration: what to train.
        unit: from what.

    Raises:
        LabelError: there is nothing to train from.
        TrainingError: a class has no training samples, nothing finite came out, or the labels changed meanwhile.
    """
    name, tables = declaration.name, warehouse.tables
    labels, split = (tables.read(classifier_file(name, file)) for file in (LABELS, SPLIT))
    if labels_digest(labels) != unit.labels:
        raise TrainingError(f"{name}: its labels were read anew while it was to be trained; run it again")
    checkpoint = StoredCheckpoint(tables, name, unit.usable.digest)
    with WorkingFolder("training") as folder:
        data = read_data(declaration, labels, split, unit.usable, storage, warehouse, models, checkpoint, folder)
        fitted = _fit(declaration, data, checkpoint)
        inputs, heard = unit.usable.digest, unit.heard
        return judged(declaration, labels, split, data, fitted, inputs, heard, storage, warehouse, models, folder)


def _fit(declaration: ClassifierDeclaration, data: Data, checkpoint: StoredCheckpoint) -> FittedModel:
    job, settings = data.job, declaration.trained_with
    title = f"classifier {declaration.name}: epochs over {len(job.train):,} samples"
    if isinstance(settings, HeadSettings):
        from arot_assets.classifiers.trainers import heads

        with track(title, heads.epochs_of(settings, heads.learnt_of(job))) as advance:
            return heads.train(job, advance)
    from arot_assets.classifiers.trainers import backbone

    # a store elsewhere has no folder that a tracker could write to
    curves = checkpoint.tables.uri(classifier_file(declaration.name, CURVES))
    job = replace(job, log=Path(local_path(curves)) if is_local(curves) else None)
    with track(title, settings.epochs) as advance:
        return backbone.train(job, advance)
