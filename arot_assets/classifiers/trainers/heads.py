"""Heads on stored embeddings: linear or a few layers, a sweep of them in one pass.

Belongs here: training all combinations of rate, penalty, normalisation and input together, choosing one on the validation
samples, and writing it as the family ``head`` reads it. Does not belong here: the arithmetic of many heads (``stack.py``),
scoring (``resources.models.heads``).

As in DINOv2's linear evaluation every batch of vectors is read once for all heads: those on one input are one product. Vectors
are memory-mapped and stay in their stored type; a batch becomes float32. Dimensions may be standardised
(``standard.py``), which the first layer absorbs in the end. Each head keeps the epoch with its least validation loss.
Rates that are too high for the data are told by the loss of the initial weights (``DIVERGED``): such heads are never chosen, and
if all of them are, the sweep begins again with lower rates. Order and dropout depend on seed and epoch alone, so a training that
is continued ends with the same weights.
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
from arot_assets.classifiers.trainers.pairs import divided, pair_losses
from arot_assets.classifiers.trainers.stack import Stack, StackOptions
from arot_assets.classifiers.trainers.standard import statistics

if TYPE_CHECKING:
    import torch

WORTH_THREADS = 200_000_000
"""Multiplications of a batch from which on several threads are faster than one."""
CHECKPOINT_SECONDS = 30.0
DIVERGED = 2.0
"""A head whose validation loss never was below this many times that of its initial weights has diverged. Those are next to 0, so
that it has become worse than saying nothing."""
LOWERED = 3
"""Times that all rates are divided by ten where every head diverged."""
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
        TrainingError: a class has no training sample, vectors are not finite, or every head diverges with ever lower rates.
    """
    settings = job.settings
    assert isinstance(settings, HeadSettings)
    _require_classes(job)
    with _threads(job, settings):
        sweep = _Sweep(job, settings)
        while True:
            for epoch in range(sweep.epoch, sweep.epochs):
                sweep.one_epoch(epoch)
                advance(1)
            if not all(sweep.diverged()) or sweep.lowered >= LOWERED:
                return sweep.best()
            sweep = _Sweep(job, settings, sweep.lowered + 1)


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


def learnt_of(job: Job) -> int:
    """How many samples, or comparisons, are learnt from."""
    return len(job.train) if job.pairs is None else len(divided(job.pairs, job.train, job.val).train)


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

    def __init__(self, job: Job, settings: HeadSettings, lowered: int = 0) -> None:
        import torch

        self.job, self.settings = job, settings
        self.aims = aims_of(job, settings.balanced)
        self.pairs = None if job.pairs is None else divided(job.pairs, job.train, job.val)
        self.learnt = job.train if self.pairs is None else np.arange(len(self.pairs.train))
        if self.pairs is not None and not (len(self.pairs.train) and len(self.pairs.val)):
            raise TrainingError(
                f"{job.name}: {len(self.pairs.train):,} comparisons are between training samples, and {len(self.pairs.val):,} "
                "can choose between heads: compare more samples"
            )
        self.epochs = epochs_of(settings, len(self.learnt))
        self.total = self.epochs * batches_in(len(self.learnt), settings.batch_size)
        state = self._stored()
        self.lowered = max(lowered, state["lowered"] if state else 0)
        grid = list(product([rate / 10**self.lowered for rate in settings.learning_rates], settings.weight_decays))
        options = StackOptions.of(job.task, settings)
        self.inputs = [
            _Input(
                column,
                normalise,
                *statistics(vectors, job.train, normalise, settings),
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
        self.initial = self._validated()
        if not all(np.isfinite(one).any() for one in self.initial):
            raise TrainingError(
                f"{job.name}: the validation loss is not finite before any step: are the embeddings finite?"
            )
        if state and state["lowered"] == self.lowered:
            self._restore(state)

    def one_epoch(self, epoch: int) -> None:
        """A pass over the training samples, and one over the validation samples."""
        import torch

        generator = torch.Generator().manual_seed(self.settings.seed * 1_000_003 + epoch)
        steps = epoch * batches_in(len(self.learnt), self.settings.batch_size)
        trained = [np.zeros(len(self.grid)) for _ in self.inputs]
        count = 0
        for chosen in batches(self.learnt, self.settings.batch_size, self.settings.seed, epoch):
            # the sum is the same, and the file is read in order
            rows, places = _rows_of(self.pairs.train[chosen]) if self.pairs is not None else (np.sort(chosen), None)
            for column, vectors in self.job.vectors.items():
                raw, length = floats_of(vectors, rows)
                for k, one in enumerate(self.inputs):
                    if one.column == column:
                        loss = self._loss(one.stack(one.prepared(raw, length), generator), rows, places)
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

    def _loss(
        self, logits: "torch.Tensor", rows: NDArray[np.int64], places: NDArray[np.int64] | None
    ) -> "torch.Tensor":
        """``[B, heads]``, weighted; of comparisons ``[P, heads]``."""
        job, settings = self.job, self.settings
        if places is not None:
            return pair_losses(logits[..., 0], places)
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
        judged = self.job.val if self.pairs is None else self.pairs.val
        count = len(judged)
        with torch.no_grad():
            for start in range(0, count, BLOCK):
                part = judged[start : start + BLOCK]
                rows, places = _rows_of(part) if self.pairs is not None else (part, None)
                for column, vectors in self.job.vectors.items():
                    raw, length = floats_of(vectors, rows)
                    for k, one in enumerate(self.inputs):
                        if one.column == column:
                            loss = self._loss(one.stack(one.prepared(raw, length)), rows, places)
                            totals[k] += loss.sum(dim=0).double().numpy()
        found = [total / count for total in totals]
        return [np.where(np.isfinite(one), one, np.inf) for one in found]

    def diverged(self) -> list[bool]:
        """Of each rate, whether all of its heads have become worse than what they began with."""
        pairs = zip(self.least, self.initial, strict=True)
        worse = np.stack([np.logical_not(now <= DIVERGED * begun) for now, begun in pairs])
        of_rate = worse.all(axis=0).reshape(len(self.settings.learning_rates), -1).all(axis=1)
        return [bool(one) for one in np.atleast_1d(of_rate)]

    def best(self) -> "FittedHead":
        """The head with the least validation loss; of equal ones the first."""
        least = [float(one.min()) for one in self.least]
        k = int(np.argmin(least))
        if not np.isfinite(least[k]) or all(self.diverged()):
            raise TrainingError(
                f"{self.job.name}: every head diverged, even with rates of {min(rate for rate, _ in self.grid):g}: are the "
                "embeddings finite? Otherwise try smaller settings.learning_rates"
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
        rates = [self.grid[k * len(self.settings.weight_decays)][0] for k in range(len(self.settings.learning_rates))]
        if too_fast := [one for one, bad in zip(rates, self.diverged(), strict=True) if bad]:
            chosen["diverged"] = too_fast
        if self.lowered:
            chosen["rates"] = f"divided by {10**self.lowered:,}, as every head diverged with those of the settings"
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
            "lowered": self.lowered,
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

    def _stored(self) -> dict[str, Any]:
        """What a training was left with; empty before the first checkpoint."""
        import torch

        data = self.job.checkpoints.load()
        found: dict[str, Any] = {} if data is None else torch.load(io.BytesIO(data), weights_only=True)
        return {"lowered": 0, **found} if found else found

    def _restore(self, state: dict[str, Any]) -> None:
        self.epoch, self.curves = state["epoch"], state["curves"]
        self.least = [t.numpy() for t in state["least"]]
        self.kept, self.kept_epoch = state["kept"], [t.numpy() for t in state["kept_epoch"]]
        for one, stack in zip(self.inputs, state["stacks"], strict=True):
            one.stack.restore(stack)


def _rows_of(pairs: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The samples of some comparisons, each once, and where those of each comparison are among them."""
    rows, places = np.unique(pairs, return_inverse=True)
    return rows, places.reshape(pairs.shape)
