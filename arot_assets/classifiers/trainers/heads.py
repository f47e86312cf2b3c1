"""Heads on stored embeddings: linear or a few layers, a sweep of them in one pass.

Belongs here: training all combinations of rate, penalty, normalisation and input together, choosing one on the validation
samples, and writing it as the family ``head`` reads it. Does not belong here: the arithmetic of many heads (``stack.py``),
scoring (``resources.models.heads``).

As in DINOv2's linear evaluation every batch of vectors is read once for all heads: those on one input are one product. Vectors
are memory-mapped and stay in their stored type; a batch becomes float32. Each dimension is standardised (the numbers are those
of the training samples), which the first layer absorbs in the end. Each head keeps the epoch with its least validation loss.
Order and dropout depend on seed and epoch alone, so a training that is continued ends with the same weights.
"""

import io
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.recipes import HeadSettings
from arot_assets.classifiers.trainers import Job, TrainingError, batches, batches_in
from arot_assets.classifiers.trainers.aims import aims_of
from arot_assets.classifiers.trainers.fitted_head import BLOCK, FittedHead, floats_of
from arot_assets.classifiers.trainers.losses import losses
from arot_assets.classifiers.trainers.stack import Stack, StackOptions

if TYPE_CHECKING:
    import torch

STATISTICS = 16_384
"""Training vectors that means and deviations are taken of."""
SPREAD_FLOOR, SPREAD_FLOOR_OF_FEW = 1e-3, 0.5
"""Of the mean deviation: dimensions that vary less in training are not amplified further, for elsewhere they may vary more. The
second is for no more vectors than dimensions, whose deviations say little; it falls with the square of vectors per dimension.
With the first, a linear head on 60 vectors of 1,280 numbers was off by 5.5 on a scale of 1 to 5, with the second by .8."""
WORTH_THREADS = 200_000_000
"""Multiplications of a batch from which on several threads are faster than one."""
CHECKPOINT_SECONDS = 30.0
MEASURED = 40
"""Times that validation losses are measured, where few samples make many epochs."""


@dataclass
class _Input:
    """One input choice and its heads."""

    column: str
    normalise: bool
    center: "torch.Tensor"
    spread: "torch.Tensor"
    stack: Stack

    def prepared(self, raw: "torch.Tensor", length: "torch.Tensor") -> "torch.Tensor":
        """``float32 [B, D]`` and their lengths ``[B, 1]`` -> what the heads see."""
        return ((raw / length if self.normalise else raw) - self.center) / self.spread


def train(job: Job, advance: Callable[[int], None] = lambda _: None) -> "FittedHead":
    """Train all heads of the sweep and keep the one with the least loss on the validation samples.

    Args:
        job: with ``vectors``.
        advance: called with 1 after each epoch.

    Raises:
        TrainingError: a class has no training sample, or no head has a finite loss.
    """
    settings = job.settings
    assert isinstance(settings, HeadSettings)
    _require_classes(job)
    with _threads(job, settings):
        sweep = _Sweep(job, settings)
        for epoch in range(sweep.epoch, sweep.epochs):
            sweep.one_epoch(epoch)
            advance(1)
        return sweep.best()


@contextmanager
def _threads(job: Job, settings: HeadSettings) -> Iterator[None]:
    """One thread where a batch is so little work that threads would mostly wait for each other."""
    import torch

    before = torch.get_num_threads()
    heads = len(settings.learning_rates) * len(settings.weight_decays) * len(set(settings.normalise))
    width = settings.hidden[0] if settings.hidden else job.task.width
    largest = max(vectors.shape[1] for vectors in job.vectors.values())
    if settings.batch_size * largest * heads * width < WORTH_THREADS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def epochs_of(settings: HeadSettings, rows: int) -> int:
    """Passes over the training samples: as many as declared, or more where few samples make few steps."""
    return max(settings.epochs, -(-settings.min_steps // batches_in(rows, settings.batch_size)))


def _require_classes(job: Job) -> None:
    if job.task.kind != "classification":
        return
    counts = np.bincount(job.targets.values[job.train], minlength=len(job.task.classes))
    absent = [job.task.classes[k] for k in np.flatnonzero(counts == 0)]
    if absent:
        raise TrainingError(f"{job.name}: {', '.join(absent)} has no training samples: label more, or omit the class")


class _Sweep:
    """All heads of one training, and how far they are."""

    def __init__(self, job: Job, settings: HeadSettings) -> None:
        import torch

        self.job, self.settings = job, settings
        self.aims = aims_of(job, settings.balanced)
        self.epochs = epochs_of(settings, len(job.train))
        self.total = self.epochs * batches_in(len(job.train), settings.batch_size)
        grid = list(product(settings.learning_rates, settings.weight_decays))
        options = StackOptions.of(job.task, settings)
        self.inputs = [
            _Input(
                column,
                normalise,
                *_statistics(vectors, job.train, normalise, settings),
                Stack(options, vectors.shape[1], grid),
            )
            for column, vectors in job.vectors.items()
            for normalise in sorted(set(settings.normalise))
        ]
        self.grid, self.epoch = grid, 0
        self.every = max(1, self.epochs // MEASURED)
        self.curves: list[dict[str, Any]] = []
        self.least = [np.full(len(grid), np.inf) for _ in self.inputs]
        self.kept: list[dict[str, torch.Tensor]] = [i.stack.copy() for i in self.inputs]
        self.kept_epoch = [np.zeros(len(grid), np.int64) for _ in self.inputs]
        self._saved = time.monotonic()
        self._restore()

    def one_epoch(self, epoch: int) -> None:
        """A pass over the training samples, and one over the validation samples."""
        import torch

        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
        steps = epoch * batches_in(len(self.job.train), self.settings.batch_size)
        trained = [np.zeros(len(self.grid)) for _ in self.inputs]
        count = 0
        for rows in batches(self.job.train, self.settings.batch_size, self.settings.seed, epoch):
            rows = np.sort(rows)  # the sum is the same, and the file is read in order
            for column, vectors in self.job.vectors.items():
                raw, length = floats_of(vectors, rows)
                for k, one in enumerate(self.inputs):
                    if one.column == column:
                        loss = self._loss(one, one.stack(one.prepared(raw, length), generator), rows)
                        one.stack.step(loss.mean(dim=0).sum(), steps + count, self.total)
                        trained[k] += loss.detach().mean(dim=0).double().numpy()
            count += 1
        self.epoch = epoch + 1
        if self.epoch % self.every == 0 or self.epoch == self.epochs:
            self._measure(epoch, [one / count for one in trained])
        if time.monotonic() - self._saved >= CHECKPOINT_SECONDS and self.epoch < self.epochs:
            self._save()

    def _measure(self, epoch: int, trained: Sequence[NDArray[np.float64]]) -> None:
        """Note the losses of an epoch, and keep the heads that are better than before."""
        measured = self._validated()
        for k, (one, now) in enumerate(zip(self.inputs, measured, strict=True)):
            better = now < self.least[k]
            self.least[k] = np.where(better, now, self.least[k])
            self.kept_epoch[k] = np.where(better, epoch, self.kept_epoch[k])
            one.stack.copy_into(self.kept[k], better)
            for head, (rate, decay) in enumerate(self.grid):
                self.curves.append(
                    {"epoch": epoch + 1, "input": one.column, "normalise": one.normalise, "learning_rate": rate,
                     "weight_decay": decay, "train_loss": float(trained[k][head]), "val_loss": float(now[head])}
                )  # fmt: skip

    def _loss(self, one: _Input, logits: "torch.Tensor", rows: NDArray[np.int64]) -> "torch.Tensor":
        """``[B, heads]``, weighted."""
        job, settings = self.job, self.settings
        each = losses(
            job.task,
            logits,
            self.aims.values[rows],
            smoothing=settings.label_smoothing,
            delta=settings.huber_delta,
            pos_weight=self.aims.pos_weight,
        )
        return each * self.aims.weights[rows][:, None]

    def _validated(self) -> list[NDArray[np.float64]]:
        """The mean loss of each head on the validation samples."""
        import torch

        totals = [np.zeros(len(self.grid)) for _ in self.inputs]
        with torch.no_grad():
            for start in range(0, len(self.job.val), BLOCK):
                rows = self.job.val[start : start + BLOCK]
                for column, vectors in self.job.vectors.items():
                    raw, length = floats_of(vectors, rows)
                    for k, one in enumerate(self.inputs):
                        if one.column == column:
                            totals[k] += (
                                self._loss(one, one.stack(one.prepared(raw, length)), rows).sum(dim=0).double().numpy()
                            )
        found = [total / len(self.job.val) for total in totals]
        return [np.where(np.isfinite(one), one, np.inf) for one in found]

    def best(self) -> "FittedHead":
        """The head with the least validation loss; of equal ones the first."""
        least = [float(one.min()) for one in self.least]
        k = int(np.argmin(least))
        if not np.isfinite(least[k]):
            raise TrainingError(
                f"{self.job.name}: no head has a finite loss on the validation samples: are the embeddings finite? Otherwise "
                "try smaller settings.learning_rates"
            )
        head = int(np.argmin(self.least[k]))
        one, (rate, decay) = self.inputs[k], self.grid[head]
        chosen = {
            "input": one.column,
            "normalise": one.normalise,
            "learning_rate": rate,
            "weight_decay": decay,
            "epoch": int(self.kept_epoch[k][head]) + 1,
            "epochs": self.epochs,
            "val_loss": least[k],
            "heads": len(self.inputs) * len(self.grid),
        }
        layers = one.stack.layers({name: t[head].numpy() for name, t in self.kept[k].items()})
        weight, bias = layers[0]["weight"].astype(np.float64), layers[0]["bias"].astype(np.float64)
        spread, center = one.spread.double().numpy(), one.center.double().numpy()
        layers[0]["weight"] = weight / spread
        layers[0]["bias"] = bias - layers[0]["weight"] @ center
        fitted = FittedHead(chosen, self.curves, self.job.vectors[one.column], layers, self.settings, one.column)
        fitted.rescale(self.aims.scale, self.job)
        return fitted

    def _save(self) -> None:
        import torch

        state = {
            "epoch": self.epoch,
            "curves": self.curves,
            "least": [torch.from_numpy(a) for a in self.least],
            "kept": self.kept,
            "kept_epoch": [torch.from_numpy(a) for a in self.kept_epoch],
            "stacks": [one.stack.state() for one in self.inputs],
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.job.checkpoints.save(buffer.getvalue())
        self._saved = time.monotonic()

    def _restore(self) -> None:
        import torch

        data = self.job.checkpoints.load()
        if data is None:
            return
        state = torch.load(io.BytesIO(data), weights_only=True)
        self.epoch, self.curves = state["epoch"], state["curves"]
        self.least = [t.numpy() for t in state["least"]]
        self.kept, self.kept_epoch = state["kept"], [t.numpy() for t in state["kept_epoch"]]
        for one, stack in zip(self.inputs, state["stacks"], strict=True):
            one.stack.restore(stack)


def _statistics(
    vectors: NDArray[Any], rows: NDArray[np.int64], normalise: bool, settings: HeadSettings
) -> "tuple[torch.Tensor, torch.Tensor]":
    """Mean and deviation of each dimension of the training vectors; 0 and 1 where they are not standardised."""
    import torch

    size = vectors.shape[1]
    if not settings.standardise:
        return torch.zeros(size), torch.ones(size)
    sample = np.sort(np.random.default_rng(settings.seed).permutation(rows)[:STATISTICS])
    raw, length = floats_of(vectors, sample)
    spread, center = torch.var_mean(raw / length if normalise else raw, dim=0, correction=0)
    spread = spread.sqrt()
    few = SPREAD_FLOOR_OF_FEW * min(1.0, (size / len(sample)) ** 2)
    floor = max(SPREAD_FLOOR, few) * float(spread.mean()) or 1.0  # all vectors are equal
    return center, spread.clamp_min(floor)
