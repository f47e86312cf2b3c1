"""Training a backbone on images: frozen, its last blocks, or all of it.

Belongs here: the loop, its schedule, averaging, stopping and continuing, through accelerate. Does not belong here: which
networks there are (``networks.py``), losses (``losses.py``), rates (``rates.py``), crops and flips (``augmentation.py``),
decoding (``training_images.py``).

Images are decoded and prepared by the functions that scoring uses; nothing is changed about them unless the settings say so.
All that is random (order, flips, crops, mixing, dropout) depends on the seed, the epoch and the step alone, and the state of a
step is kept as a whole, so a training that was killed and is continued ends with the same weights, bit for bit on a CPU in
float32.
"""

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.recipes import BackboneSettings
from arot_assets.classifiers.trainers import Job, TrainingError, batches, batches_in
from arot_assets.classifiers.trainers.aims import aims_of
from arot_assets.classifiers.trainers.augmentation import changed, mixed
from arot_assets.classifiers.trainers.fitted_backbone import FittedBackbone, logits_of
from arot_assets.classifiers.trainers.losses import losses
from arot_assets.classifiers.trainers.networks import Base, trainable
from arot_assets.classifiers.trainers.rates import parameter_groups, schedule
from resources.parallel import ordered_map

if TYPE_CHECKING:
    import torch


def train(job: Job, advance: Callable[[int], None] = lambda _: None) -> FittedBackbone:
    """Train a backbone and keep the epoch, and of it the raw or averaged weights, with the least validation loss.

    Args:
        job: with ``pixels`` and ``backbone``.
        advance: called with 1 after each epoch.

    Raises:
        TrainingError: the base cannot be trained, levels are to be mixed, or no epoch has a finite validation loss.
    """
    settings = job.settings
    assert isinstance(settings, BackboneSettings) and isinstance(job.backbone, Base) and job.pixels is not None
    if settings.mixup and job.task.kind == "ordinal":
        raise TrainingError(f"{job.name}: levels cannot be mixed: set settings.mixup to 0")
    run = _Run(job, settings)
    run.restore()
    while run.epoch < settings.epochs and not run.is_done:
        run.one_epoch()
        advance(1)
    run.close()
    return run.best()


@dataclass
class _Best:
    """The weights with the least validation loss so far."""

    loss: float = math.inf
    epoch: int = 0
    weights: str = "raw"
    state: dict[str, Any] = field(default_factory=dict)


class _Run:
    """One training and how far it is."""

    def __init__(self, job: Job, settings: BackboneSettings) -> None:
        import torch
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        from resources.models.torch_network import resolve_device

        self.job, self.settings = job, settings
        self.net = trainable(job.backbone, job.task, settings)
        self.aims = aims_of(job, settings.balanced)
        tracker = None if settings.tracker == "none" or job.log is None else settings.tracker
        AcceleratorState._reset_state(reset_partial_state=True)  # of the process's training before this one
        self.accelerator = Accelerator(
            cpu=resolve_device(job.backbone.device) == "cpu",
            mixed_precision=settings.mixed_precision,
            log_with=tracker,
            project_dir=str(job.log) if job.log else None,
        )
        if tracker:
            self.accelerator.init_trackers(job.name)
        groups = parameter_groups(self.net, settings)
        optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate)
        self.module, self.optimizer = self.accelerator.prepare(self.net.module, optimizer)
        per_epoch = batches_in(len(job.train), settings.batch_size)
        self.steps_an_epoch = -(-per_epoch // settings.accumulate)
        self.total = self.steps_an_epoch * settings.epochs
        self.epoch, self.batch, self.step = 0, 0, 0
        self.sum, self.counted = 0.0, 0
        self.averaged = self._raw() if settings.ema else None
        self.kept, self.curves = _Best(), list[dict[str, Any]]()
        self.is_done = False

    def _raw(self) -> dict[str, "torch.Tensor"]:
        module = self.accelerator.unwrap_model(self.module)
        return {name: t.detach().clone() for name, t in module.state_dict().items()}

    def one_epoch(self) -> None:
        """The rest of an epoch's batches, then the validation samples."""
        import torch

        settings, job = self.settings, self.job
        if settings.train == "head":
            self.module.eval()  # nothing of a frozen backbone moves, its statistics neither
        else:
            self.module.train()
        todo = list(batches(job.train, settings.batch_size, settings.seed, self.epoch))
        for place, (rows, inputs) in enumerate(self._prepared(todo[self.batch :]), start=self.batch):
            torch.manual_seed(int(np.random.SeedSequence((settings.seed, self.epoch, place)).generate_state(1)[0]))
            loss = self._loss_of_batch(rows, inputs, place)
            share = min(settings.accumulate, len(todo) - place // settings.accumulate * settings.accumulate)
            self.accelerator.backward(loss / share)
            self.sum, self.counted = self.sum + float(loss.detach()), self.counted + 1
            if (place + 1) % settings.accumulate == 0 or place + 1 == len(todo):
                self._update()
                self.batch = place + 1
                if settings.checkpoint_steps and self.step % settings.checkpoint_steps == 0:
                    self.save()
        self._measure()
        self.epoch, self.batch, self.sum, self.counted = self.epoch + 1, 0, 0.0, 0
        if self.epoch < settings.epochs and not self.is_done:
            self.save()

    def _loss_of_batch(self, rows: NDArray[np.int64], inputs: "torch.Tensor", place: int) -> "torch.Tensor":
        import torch

        settings, task, device = self.settings, self.job.task, self.accelerator.device
        inputs, wanted, counted = (
            inputs.to(device),
            self.aims.values[rows].to(device),
            self.aims.weights[rows].to(device),
        )
        if settings.mixup:
            random = np.random.default_rng((settings.seed, self.epoch, place, 1))
            if task.loss == "cross_entropy":
                wanted = torch.nn.functional.one_hot(wanted, len(task.classes)).float()
            inputs, wanted = mixed(inputs, wanted, settings.mixup, random)
        with self.accelerator.autocast():
            logits = self.net.forward(self.module, inputs)
        return (self._losses(logits.float(), wanted) * counted).mean()

    def _losses(self, logits: "torch.Tensor", wanted: "torch.Tensor") -> "torch.Tensor":
        pos_weight = None if self.aims.pos_weight is None else self.aims.pos_weight.to(logits.device)
        settings = self.settings
        return losses(
            self.job.task,
            logits,
            wanted,
            smoothing=settings.label_smoothing,
            delta=settings.huber_delta,
            pos_weight=pos_weight,
        )

    def _update(self) -> None:
        import torch

        settings = self.settings
        factor = schedule(self.step, self.total, settings.warmup)
        for group in self.optimizer.param_groups:
            group["lr"] = settings.learning_rate * group["lr_scale"] * factor
        if settings.clip:
            self.accelerator.clip_grad_norm_(self.module.parameters(), settings.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        if self.averaged is not None:
            # of few steps the plain decay would mostly be the first weights
            decay = min(settings.ema, (1 + self.step) / (10 + self.step))
            with torch.no_grad():
                for name, t in self.accelerator.unwrap_model(self.module).state_dict().items():
                    if t.dtype.is_floating_point:
                        self.averaged[name].lerp_(t, 1 - decay)
                    else:
                        self.averaged[name].copy_(t)

    def _measure(self) -> None:
        """The validation loss of the raw and of the averaged weights."""
        module = self.accelerator.unwrap_model(self.module)
        found = {"raw": self._validation_loss()}
        states = {"raw": self._raw()}
        if self.averaged is not None:
            module.load_state_dict(self.averaged)
            found["average"] = self._validation_loss()
            states["average"] = {name: t.clone() for name, t in self.averaged.items()}
            module.load_state_dict(states["raw"])
        for weights, loss in found.items():
            row = {
                "epoch": self.epoch + 1,
                "weights": weights,
                "train_loss": self.sum / max(self.counted, 1),
                "val_loss": loss,
            }
            self.curves.append(row)
            self.accelerator.log({f"{weights}/val_loss": loss, "train_loss": row["train_loss"]}, step=self.step)
            if loss < self.kept.loss:
                self.kept = _Best(loss, self.epoch, weights, states[weights])
        waited = self.epoch - self.kept.epoch
        self.is_done = bool(self.settings.patience) and waited >= self.settings.patience

    def _validation_loss(self) -> float:
        logits = self.net_logits(self.job.val)
        import torch

        each = self._losses(torch.from_numpy(logits), self.aims.values[self.job.val]) * self.aims.weights[self.job.val]
        loss = float(each.mean())
        return loss if math.isfinite(loss) else math.inf

    def net_logits(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """``float32 [len(rows), width]`` of the module as it is now, of images as they are."""
        return logits_of(self.net, self.accelerator.unwrap_model(self.module), self.job, rows, self.settings.batch_size)

    def _prepared(self, todo: Sequence[NDArray[np.int64]]) -> "Iterator[tuple[NDArray[np.int64], torch.Tensor]]":
        """Batches of inputs, decoded ahead in threads; each process takes its own part of a batch."""
        import torch

        process, processes = self.accelerator.process_index, self.accelerator.num_processes
        mine = [rows[process::processes] for rows in todo]
        epoch = self.epoch
        inputs = ordered_map(lambda row: self._input(int(row), epoch), [row for rows in mine for row in rows])
        for rows in mine:
            yield rows, torch.from_numpy(np.stack([next(inputs) for _ in rows]))

    def _input(self, row: int, epoch: int) -> NDArray[Any]:
        assert self.job.pixels is not None
        random = np.random.default_rng((self.settings.seed, epoch, row))
        return self.net.prepare(changed(self.job.pixels(row), self.settings, random))

    def best(self) -> FittedBackbone:
        """The weights that were kept."""
        if not self.kept.state:
            raise TrainingError(
                f"{self.job.name}: no epoch has a finite validation loss; try a smaller settings.learning_rate"
            )
        module = self.accelerator.unwrap_model(self.module).cpu()
        module.load_state_dict(self.kept.state)
        chosen = {
            "backbone": self.job.backbone.entry.name,
            "weights": self.kept.weights,
            "epoch": self.kept.epoch + 1,
            "epochs": self.epoch,
            "steps": self.step,
            "val_loss": self.kept.loss,
            "device": str(self.accelerator.device),
            "precision": self.accelerator.mixed_precision,
        }
        fitted = FittedBackbone(chosen, self.curves, self.net, module.eval(), self.job, self.settings.batch_size)
        scale = self.aims.scale
        if self.job.task.loss == "pairwise":
            scale = scale.of_line(fitted.logits(self.job.train)[:, 0], self.job.targets.values[self.job.train])
        fitted.rescale(scale)
        return fitted

    def save(self) -> None:
        """Keep all that the rest of the training depends on."""
        import torch

        if not self.accelerator.is_main_process:
            return
        state = {
            "module": self._raw(),
            "optimizer": self.optimizer.state_dict(),
            "averaged": self.averaged,
            "place": [self.epoch, self.batch, self.step, self.counted],
            "sum": self.sum,
            "kept": [self.kept.loss, self.kept.epoch, self.kept.weights, self.kept.state],
            "curves": self.curves,
            "scaler": self.accelerator.scaler.state_dict() if self.accelerator.scaler is not None else None,
        }
        buffer = io.BytesIO()
        torch.save(state, buffer)
        self.job.checkpoints.save(buffer.getvalue())

    def restore(self) -> None:
        """Continue from what was kept, if anything was."""
        import torch

        data = self.job.checkpoints.load()
        if data is None:
            return
        state = torch.load(io.BytesIO(data), weights_only=True, map_location=self.accelerator.device)
        self.accelerator.unwrap_model(self.module).load_state_dict(state["module"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.averaged = state["averaged"]
        self.epoch, self.batch, self.step, self.counted = state["place"]
        self.sum, self.curves = state["sum"], state["curves"]
        self.kept = _Best(*state["kept"])
        if state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])

    def close(self) -> None:
        """Finish what trackers write."""
        self.accelerator.end_training()
