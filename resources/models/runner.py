"""A loaded model as metrics use it: batches that fit, numbers that do not depend on neighbours, and what it took.

Belongs here: padding and splitting batches, holding a model's arrays to its entry, counting. Does not belong here: the engine
behind it (``network.py``, ``families``) and which models are loaded (``models.py``).
"""

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.models.batching import BatchRunner
from resources.models.device_load import DeviceLoad
from resources.models.entry import ModelEntry, ModelError
from resources.models.network import Network, Placement
from resources.models.outputs import width

DEVICE_MEMORY, DEVICE_LOAD = "most memory taken on the device, MB", "share of time in which the device computed, %"
"""What a report calls them."""
BATCHES_QUEUED = 3
"""Batches with a GPU: one is computed, one waits there, of one the rows are made."""


@dataclass(frozen=True)
class Usage:
    """What a model did since it was loaded.

    Attributes:
        images: that went through it.
        seconds: in which at least one batch was with it.
        waited: seconds between its batches, in which it waited for images.
        answers: of its GPU's driver how busy that was.
        busy: the sum of them, each 0-100.
    """

    images: int = 0
    seconds: float = 0.0
    waited: float = 0.0
    answers: int = 0
    busy: float = 0.0

    def since(self, earlier: "Usage") -> "Usage":
        """What was done after an earlier moment."""
        return Usage(
            self.images - earlier.images,
            self.seconds - earlier.seconds,
            max(0.0, self.waited - earlier.waited),
            self.answers - earlier.answers,
            self.busy - earlier.busy,
        )


class Runner:
    """A model that is loaded; every method may be called from several threads.

    A batch is always padded to the same size (with zeros, whose results are discarded), because kernels are chosen by the batch
    size. So an image's numbers do not depend on its neighbours, nor on whether it came in a full batch or was the last of a
    shard. An image whose input has a shape of its own is a batch of its own.

    Args:
        entry: what it is.
        network: it, loaded.
        place: where it runs.
        fingerprint: what rows of it depend on.
        batch_size: images per batch, if the network leaves that open.
    """

    def __init__(
        self, entry: ModelEntry, network: Network, place: Placement, fingerprint: str, batch_size: int
    ) -> None:
        self.entry = entry
        self.network = network
        self.place = place
        self.fingerprint = fingerprint
        size = network.batch or (1 if network.input_shape is None else batch_size)
        self._batches = BatchRunner(size)
        self._one_at_a_time, self._counting = threading.Lock(), threading.Lock()
        self._usage = Usage()
        self._device = DeviceLoad(place.device)
        self._last = 0.0

    @property
    def batch_size(self) -> int:
        """Images that callers collect before they call ``predict``; it decreases when the device runs out of memory."""
        return self._batches.size

    @property
    def at_once(self) -> int:
        """Batches that are best with it at the same time, from a thread each."""
        return BATCHES_QUEUED if self.network.begin else 1

    @property
    def usage(self) -> Usage:
        """What it did so far."""
        return self._usage

    @property
    def where(self) -> dict[str, str]:
        """Device, engine and precision that it uses, for users."""
        return {"device": self.place.device, "engine": self.place.engine, "precision": self.network.precision}

    def report(self, earlier: Usage) -> dict[str, Any]:
        """What it did after an earlier moment, for users."""
        done = self._usage.since(earlier)
        said: dict[str, Any] = {
            **self.where,
            "batch size": self.batch_size,
            "images": done.images,
            "images/s of the model": round(done.images / done.seconds, 1) if done.seconds else None,
            "seconds that it waited for images": round(done.waited, 1),
            "memory of its weights, MB": round(self.network.bytes / 1e6, 1),
        }
        if self.place.device.startswith("cuda"):
            import torch

            said["device"] += f", {torch.cuda.get_device_properties(self.place.device).name}"
            said[DEVICE_MEMORY] = round(torch.cuda.max_memory_allocated(self.place.device) / 1e6, 1)
        if done.answers:
            said[DEVICE_LOAD] = round(done.busy / done.answers, 1)
        return said

    def prepare(self, rgb: NDArray[np.uint8]) -> NDArray[Any]:
        """``uint8 [H, W, 3]`` RGB, upright, opaque -> its input; meant to run in decoding threads."""
        return self.network.prepare(rgb)

    def predict(self, batch: Sequence[NDArray[Any]]) -> dict[str, Any]:
        """N inputs, at least one -> ``{name: float32 [N, …]}`` in the same order (a list for what is no array).

        Raises:
            ValueError: an item does not have the shape of the model's input.
            ModelError: the model does not return what its entry says.
            MemoryError: a single image does not fit into the device's memory.
        """
        wanted = self.network.input_shape
        for position, item in enumerate(batch):
            if wanted is not None and item.shape != wanted:
                raise ValueError(f"{self.entry.name}: item {position} is {list(item.shape)}, not {list(wanted)}")
        parts = self._batches.run(batch, self._forward)
        return {name: _joined([part[name] for part in parts]) for name in parts[0]}

    def encode_text(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts -> ``float32 [N, D]``, in the space of the model's ``embedding``; not normalised.

        Raises:
            ModelError: the model has no text tower.
        """
        if self.network.encode_text is None:
            raise ModelError(
                f"model '{self.entry.name}' has no text tower, so text cannot be compared with its embeddings; use an entry "
                "of the family clip whose weights have one"
            )
        with self._one_at_a_time:
            return self.network.encode_text(texts)

    def _forward(self, chunk: Sequence[NDArray[Any]]) -> dict[str, Any]:
        shape = (max(self._batches.size, len(chunk)), *chunk[0].shape)
        stacked = self.network.room(shape, chunk[0].dtype)
        for position, item in enumerate(chunk):
            stacked[position] = item
        stacked[len(chunk) :] = 0
        with self._one_at_a_time:
            start = time.perf_counter()
            begin = self.network.begin
            found = begin(stacked) if begin else self.network.predict(stacked)
        outputs = found() if callable(found) else found
        self._device.look()
        self._count(len(chunk), start)
        self._hold_to_entry(outputs)
        return {name: value[: len(chunk)] for name, value in outputs.items()}

    def _count(self, images: int, start: float) -> None:
        """Count a batch that is done; what several are with the network for at the same time counts once."""
        with self._counting:
            now, last, before = time.perf_counter(), self._last, self._usage
            self._usage = Usage(
                before.images + images,
                before.seconds + now - max(start, last),
                before.waited + (max(0.0, start - last) if last else 0.0),
                self._device.answers,
                self._device.total,
            )
            self._last = now

    def _hold_to_entry(self, outputs: Mapping[str, Any]) -> None:
        """Refuse arrays that the entry does not describe: its columns would hold something else."""
        for output in self.entry.outputs:
            if output.of not in outputs:
                raise ModelError(
                    f"model '{self.entry.name}': output {output.name!r} is of {output.of!r}, which the model does not return; "
                    f"it returns: {', '.join(outputs)}"
                )
            wanted, array = width(output), outputs[output.of]
            if wanted is not None and (array.ndim != 2 or array.shape[1] != wanted):
                raise ModelError(
                    f"model '{self.entry.name}': output {output.name!r} takes {wanted} numbers of {output.of!r} for an image, "
                    f"and the model returns {list(array.shape[1:])}"
                )


def _joined(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts) if len({part.shape[1:] for part in parts}) == 1 else [x for p in parts for x in p]
    return [value for part in parts for value in part]
