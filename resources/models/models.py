"""The ``models`` resource: get a model by name, give it images, get arrays.

Belongs here: choosing the device, loading once and lazily, feeding batches.
Does not belong here: what the models are (``catalogue.py``) and how a family loads (``timm_family.py``).
Every Dagster step builds its resources, so nothing is loaded, and torch is not imported, before ``Models.get``.
"""

import logging
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from resources.memory import release_loaded
from resources.models import timm_family
from resources.models.batching import BatchRunner
from resources.models.catalogue import all_entries, find_entry
from resources.models.entry import ModelEntry, ModelError
from resources.models.weights import verified_weights, weights_file

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["float32", "bfloat16", "float16"]

log = logging.getLogger(__name__)

# larger batches do not fit a core's cache: 4 is the fastest for small backbones (measured from 1 to 32)
CPU_BATCH = 4
GPU_BATCH = 32


class Family(Protocol):
    """The functions that the module of a family provides. ``timm_family`` is one; a new one is a file and a line in
    ``FAMILIES``."""

    def load(self, entry: ModelEntry, weights: Path) -> "torch.nn.Module":
        """The module with its weights, float32, evaluation mode."""
        ...

    def prepare(self, entry: ModelEntry, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``uint8 [H, W, 3]`` RGB -> one image's input; called in decoding threads."""
        ...

    def predict(self, model: Any, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
        """One pass over a batch: every output of the entry by name."""
        ...


FAMILIES: Mapping[str, Family] = {"timm": timm_family}


class ImageModel(Protocol):
    """A model as metrics use it; both methods may be called from several threads."""

    entry: ModelEntry
    fingerprint: str

    @property
    def batch_size(self) -> int:
        """The number of images per batch, which callers collect before they call ``predict``."""
        ...

    def prepare(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """``uint8 [H, W, 3]`` RGB -> ``float32 [3, S, S]``; meant to run in decoding threads."""
        ...

    def predict(self, batch: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """N preprocessed images -> ``{output name: float32 [N, ...]}`` in the same order; N may be 0."""
        ...


@dataclass(frozen=True)
class Settings:
    """How to run models: see the fields of ``Models``."""

    device: Device
    precision: Precision
    batch_size: int
    cpu_threads: int


class TorchModel:
    """An ``ImageModel`` in PyTorch, loaded on construction.

    A batch is always padded to the same size (with zeros, whose results are discarded), because convolution kernels are chosen
    by the batch size. So an image's numbers do not depend on its neighbours, nor on whether it came in a full batch or was the
    last of a shard.
    """

    def __init__(self, entry: ModelEntry, settings: Settings) -> None:
        import torch

        self.entry = entry
        self.fingerprint = fingerprint(entry, settings.precision)
        self.device = resolve_device(settings.device)
        if self.device != "cuda" and settings.precision != "float32":
            raise ModelError(
                f"resources.models.precision={settings.precision!r} needs CUDA, this is {self.device}: use 'float32'"
            )
        if self.device == "cpu":
            release_loaded()  # before the family loads anything else
            torch.set_num_threads(settings.cpu_threads or max(1, (os.cpu_count() or 1) // 2))
        else:
            # TF32 keeps only 10 bits of the mantissa: an image would score differently with and without a GPU
            torch.backends.cuda.matmul.allow_tf32 = False
            torch.backends.cudnn.allow_tf32 = False
        self._family = FAMILIES[entry.family]
        module = self._family.load(entry, verified_weights(entry))
        self._module = module.to(device=self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._precision = getattr(torch, settings.precision)
        self._batches = BatchRunner(settings.batch_size or (CPU_BATCH if self.device == "cpu" else GPU_BATCH))
        if self.device == "cpu":
            release_loaded()
        log.info("loaded model %s on %s", entry.name, self.device)

    @property
    def batch_size(self) -> int:
        """See ``ImageModel.batch_size``; it decreases when the device runs out of memory."""
        return self._batches.size

    def prepare(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See ``ImageModel.prepare``."""
        return self._family.prepare(self.entry, rgb)

    def predict(self, batch: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        """See ``ImageModel.predict``.

        Raises:
            ValueError: an item does not have the shape that the entry's preprocessing produces.
            MemoryError: a single image does not fit into the device's memory.
        """
        side = self.entry.preprocessing.size
        for position, item in enumerate(batch):
            if item.shape != (3, side, side):
                raise ValueError(f"{self.entry.name}: item {position} is {list(item.shape)}, not [3, {side}, {side}]")
        if not batch:
            return {output.name: np.empty((0, *output.shape), np.float32) for output in self.entry.outputs}
        parts = self._batches.run(batch, self._forward)
        return {output.name: np.concatenate([part[output.name] for part in parts]) for output in self.entry.outputs}

    def _forward(self, chunk: Sequence[NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        import torch

        stacked = np.zeros((max(self._batches.size, len(chunk)), *chunk[0].shape), np.float32)
        for position, item in enumerate(chunk):
            stacked[position] = item
        reduced = self._precision != torch.float32
        with torch.inference_mode(), torch.autocast("cuda", dtype=self._precision, enabled=reduced):
            tensor = torch.from_numpy(stacked).to(self.device).contiguous(memory_format=torch.channels_last)
            outputs = self._family.predict(self._module, tensor)
            return {name: value[: len(chunk)].float().cpu().numpy() for name, value in outputs.items()}


@dataclass(frozen=True)
class Models:
    """Models by name, loaded on first use, once per process.

    Attributes:
        device: ``auto`` picks CUDA, then Apple's MPS, then the CPU.
        precision: below float32 only on CUDA (autocast); it changes scores, so rows get a different version.
        batch_size: images per batch; 0 for 4 on a CPU, 32 on a GPU; halved when memory runs out.
        cpu_threads: threads of one forward pass on a CPU; 0 for half of the cores, the rest decode.
    """

    device: Device = "auto"
    precision: Precision = "float32"
    batch_size: int = 0
    cpu_threads: int = 0

    def get(self, name: str) -> ImageModel:
        """The model called ``name``, loaded; the same object for the same settings in the whole process.

        Raises:
            ModelError: not in the catalogue, missing or different weights, no such device.
        """
        settings = Settings(self.device, self.precision, self.batch_size, self.cpu_threads)
        return _shared_model(find_entry(name), settings)

    def fingerprint(self, name: str) -> str:
        """What a metric's version must include for its rows to follow the model; loads nothing."""
        return fingerprint(find_entry(name), self.precision)

    def describe(self) -> list[dict[str, Any]]:
        """One row per model that can be read, for users: what it is, its licence, and whether it is installed."""
        rows = []
        for entry in all_entries()[0]:
            file = weights_file(entry.weights)
            rows.append(
                {
                    "name": entry.name,
                    "family": entry.family,
                    "id": entry.id,
                    "revision": entry.revision,
                    "licence": entry.licence,
                    "parameters": entry.parameters,
                    "input": f"{entry.preprocessing.size} x {entry.preprocessing.size}, {entry.preprocessing.resize}",
                    "outputs": {output.name: f"{list(output.shape)} {output.meaning}" for output in entry.outputs},
                    "bytes": file.stat().st_size if file else None,
                    "available": file is not None,
                }
            )
        return rows


_shared: dict[tuple[str, Settings], TorchModel] = {}
_shared_lock = threading.Lock()


def _shared_model(entry: ModelEntry, settings: Settings) -> TorchModel:
    """One object per model and process: Dagster builds the resource again in every step, which must not load weights again."""
    with _shared_lock:
        key = (entry.name, settings)
        if key not in _shared:
            _shared[key] = TorchModel(entry, settings)
        return _shared[key]


def fingerprint(entry: ModelEntry, precision: Precision) -> str:
    """The entry's fingerprint, marked where reduced precision changes the numbers."""
    return entry.fingerprint() if precision == "float32" else f"{entry.fingerprint()}-{precision}"


def resolve_device(device: Device) -> str:
    """The device to use: ``auto`` picks the best one available.

    Raises:
        ModelError: the named device is not available.
    """
    import torch

    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, there in available.items() if there)
    if not available[device]:
        raise ModelError(f"resources.models.device={device!r} is not available here; use 'auto' or 'cpu'")
    return device
