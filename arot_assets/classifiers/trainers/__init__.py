"""How models are trained: a file each, with one interface.

Belongs here: what a trainer is given (``Job``) and what it gives back (``FittedModel``). Does not belong here: reading labels and
vectors (``inputs.py``), judging (``evaluation.py``), keeping (``promotion.py``). Trainers import torch inside functions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.recipes import Settings
from arot_assets.classifiers.tasks import Task
from resources.errors import ArotError
from resources.models.entry import Preprocessing

if TYPE_CHECKING:
    from arot_assets.media.wants import Pixels


class TrainingError(ArotError):
    """A model that cannot be trained; the message says why and what to do."""


class Checkpoints(Protocol):
    """Where an unfinished training is kept."""

    def load(self) -> bytes | None:
        """The last one; None before the first."""
        ...

    def save(self, state: bytes) -> None:
        """Replace it, in one step."""
        ...


@dataclass(frozen=True)
class Targets:
    """What is to be learnt, of N samples.

    Attributes:
        values: ``int64 [N]`` index of the class or level; ``float32 [N, C]`` of 0 and 1 for tags; ``float32 [N]`` for regression.
        weights: ``float32 [N]``, how much each sample counts.
    """

    values: NDArray[Any]
    weights: NDArray[np.float32]

    def __getitem__(self, rows: Any) -> "Targets":
        """Those of some samples."""
        return Targets(self.values[rows], self.weights[rows])


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        name: of the model, for progress.
        task: what is learnt.
        settings: of the trainer.
        targets: of N samples.
        train, val: ``int64``, rows of the N samples.
        vectors: ``table.column`` -> ``[N, D]``, for the trainer ``heads``.
        pixels: row -> decoded image, for the trainer ``backbone``; safe to call from several threads.
        backbone: loads what the trainer ``backbone`` starts from.
        checkpoints: where it can be continued from.
        log: folder of learning curves, for trackers; None: none.
        pairs: ``int64 [P, 2]``, rows of comparisons that are learnt themselves, the preferred sample first; None: values are.
    """

    name: str
    task: Task
    settings: Settings
    targets: Targets
    train: NDArray[np.int64]
    val: NDArray[np.int64]
    checkpoints: Checkpoints
    vectors: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    pixels: "Callable[[int], Pixels] | None" = None
    backbone: Any = None
    log: Path | None = None
    pairs: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class ModelFiles:
    """A model's files, as a family of the catalogue loads them.

    Attributes:
        family: of ``resources.models.families``.
        files: paths in the folder.
        parameters: how many the model has.
        takes: ``image``, or the column of a head.
        options: of the entry.
        preprocessing: of the entry.
    """

    family: str
    files: tuple[str, ...]
    parameters: int
    takes: str = "image"
    options: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Preprocessing | None = None


class FittedModel(Protocol):
    """A trained model.

    Attributes:
        chosen: what the validation set decided: rate, penalty, input, epoch.
        curves: a row an epoch (and a head): losses and the like.
    """

    chosen: Mapping[str, Any]
    curves: Sequence[Mapping[str, Any]]

    def logits(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """``float32 [len(rows), task.width]``, before calibration."""
        ...

    def export(self, folder: Path, temperature: float) -> ModelFiles:
        """Write the files of the model, its logits divided by a temperature."""
        ...


def batches(rows: NDArray[np.int64], size: int, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    """The training rows of an epoch in a random order that depends on seed and epoch alone, so that it can be continued.

    A last batch of fewer than half of ``size`` is left out, unless it is the only one.
    """
    order = np.random.default_rng((seed, epoch)).permutation(rows)
    for start in range(0, len(order), size):
        if start and len(order) - start < size / 2:
            return
        yield order[start : start + size]


def batches_in(count: int, size: int) -> int:
    """How many batches ``batches`` gives of ``count`` rows."""
    whole, left = divmod(count, size)
    return max(1, whole + (left >= size / 2))
