"""The ``models`` resource: get a model by name, give it images, get arrays.

Belongs here: choosing the device, loading once and lazily, what fits into memory together. Does not belong here: what the models
are (``entries.py``), how a family loads (``families``), batches (``runner.py``), fetching (``weights.py``).
Every Dagster step builds its resources, so nothing is loaded, and torch is not imported, before ``Models.get``.
"""

import logging
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from resources.machine import Machine, gpu_share
from resources.models.batching import is_out_of_memory
from resources.models.converted import ConversionError
from resources.models.entries import all_entries, find_entry
from resources.models.entry import ModelEntry, ModelError
from resources.models.network import REDUCING, DeviceError, Engine, Family, Network, Placement, Precision
from resources.models.runner import Runner, Usage
from resources.models.weights import ModelCache
from resources.models.which_family import engine_of, family_of
from resources.storage import Storage

log = logging.getLogger(__name__)

# larger batches do not fit a core's cache: 4 is the fastest for small backbones (measured from 1 to 32)
CPU_BATCH = 4
GPU_BATCH = 32
SHARE_OF_DEVICE = 0.8
"""Of a GPU's memory that weights may fill together; activations take the rest."""
SHARE_OF_MACHINE = 0.5
"""Of the machine's memory that weights on the CPU may fill together; decoded images and libraries take the rest."""
FLOAT32_BYTES = 4
_PRECISIONS: Sequence[Precision] = ("float32", "bfloat16", "float16")


class ImageModel(Protocol):
    """A model as metrics use it; every method may be called from several threads. See ``Runner``."""

    @property
    def entry(self) -> ModelEntry:
        """What it is."""
        ...

    @property
    def fingerprint(self) -> str:
        """What its rows depend on."""
        ...

    @property
    def usage(self) -> Usage:
        """What it did so far."""
        ...

    @property
    def batch_size(self) -> int:
        """The number of images per batch, which callers collect before they call ``predict``."""
        ...

    @property
    def at_once(self) -> int:
        """Batches that are best with it at the same time, from a thread each."""
        ...

    def prepare(self, rgb: NDArray[np.uint8]) -> NDArray[Any]:
        """``uint8 [H, W, 3]`` RGB -> one input; meant to run in decoding threads."""
        ...

    def predict(self, batch: Sequence[NDArray[Any]]) -> dict[str, Any]:
        """N inputs -> ``{name: float32 [N, ...]}`` in the same order."""
        ...


@dataclass(frozen=True)
class Models:
    """Models by name, loaded on first use, once per process.

    Attributes:
        device: ``auto`` picks CUDA, then Apple's MPS, then the CPU; ``cuda:1`` one of several.
        precision: below float32 only on CUDA (autocast), and only for entries that allow it; it changes scores, so rows get a
            different version.
        batch_size: images per batch; 0 for 4 on a CPU, 32 on a GPU; halved when memory runs out.
        cpu_threads: threads of one forward pass on a CPU; 0 for half of the cores, the rest decode.
        engine: ``auto`` takes each family's own, or on a CPU the one that an entry names (``ModelEntry.cpu_engine``); one that is
            asked for changes scores in the last digits, so rows get a different version.
        memory_gb: GB (10^9 bytes) that weights may take together; beyond it the model that was used longest ago is dropped. 0:
            80 % of the GPU's memory, half of the machine's on a CPU.
        cache: see ``ModelCache.folder``.
        offline: fetch no weights.
        storage: what weights are fetched with; it has the Hub's address.
    """

    device: str = "auto"
    precision: Precision = "float32"
    batch_size: int = 0
    cpu_threads: int = 0
    engine: Engine = "auto"
    memory_gb: float = 0.0
    cache: str = ""
    offline: bool = False
    storage: Storage = field(default_factory=Storage, compare=False)

    @property
    def files(self) -> ModelCache:
        """The weights on this machine."""
        return ModelCache(self.cache, self.offline, self.storage)

    def get(self, name: str) -> Runner:
        """The model called ``name``, loaded; the same object for the same settings in the whole process.

        Raises:
            ModelError: not in the catalogue, not pinned, no weights or different ones, no such device, too large for it.
        """
        return _loaded.get(self, find_entry(name))

    def fingerprint(self, name: str) -> str:
        """What a metric's version must include for its rows to follow the model; loads nothing.

        The entry's fingerprint, marked where an engine other than the family's own or reduced precision changes the numbers.

        Raises:
            ModelError: not in the catalogue, or not pinned.
        """
        entry = find_entry(name)
        family, place = family_of(entry), self._place(entry, "")
        marks = [family.VERSION] if family.VERSION != "1" else []
        marks += [place.engine] if place.engine != family.ENGINES[0] else []
        marks += [place.precision] if place.precision != "float32" else []
        return "-".join([entry.fingerprint(), *marks])

    def groups(self, names: Sequence[str]) -> list[list[str]]:
        """The models, in groups that fit into memory together: each group is worth a pass of its own.

        The groups are the same each time; the one of which the fewest have to be loaded now comes first, so that a run of several
        shards begins a shard with the models that the last one ended with.

        A name that has no entry is put with the others: getting it says what is wrong.
        """
        if not names:
            return []
        budget = self._budget()
        found: list[list[str]] = [[]]
        left = budget
        for name in sorted(names):
            size = _expected(find_entry(name)) if name in _readable() else 0
            if found[-1] and size > left:
                found.append([])
                left = budget
            found[-1].append(name)
            left -= size
        there = _loaded.names(self)
        return sorted(found, key=lambda group: sum(name not in there for name in group))

    def describe(self) -> list[dict[str, Any]]:
        """One row per model that can be read, for users: what it is, its licence, and whether its weights are here."""
        return [self._described(entry) for entry in all_entries()[0]]

    def _described(self, entry: ModelEntry) -> dict[str, Any]:
        folder = self.files.find(entry)
        return {
            "name": entry.name,
            "family": entry.family,
            "id": entry.public_name,
            "revision": entry.weights.release,
            "licence": entry.licence,
            "commercial": entry.commercial,
            "gated": entry.gated,
            "runs": entry.runs,
            "parameters": entry.parameters,
            "input": _input(entry),
            "outputs": {output.name: f"{output.kind}: {output.meaning}" for output in entry.outputs},
            "bytes": sum((folder / path).stat().st_size for path in entry.weights.files) if folder else None,
            "available": folder is not None,
            "pinned": entry.is_pinned,
        }

    def _place(self, entry: ModelEntry, device: str) -> Placement:
        engine = engine_of(entry, self.engine, device)
        lowest = entry.precision if engine in REDUCING else "float32"
        allowed = _PRECISIONS[: _PRECISIONS.index(lowest) + 1]
        return Placement(
            device,
            self.precision if self.precision in allowed else allowed[-1],
            engine,
            self.cpu_threads or max(1, Machine().cores // 2),
            str(self.files.root),
        )

    def _budget(self) -> int:
        """Bytes that weights may take together."""
        if self.memory_gb:
            return int(self.memory_gb * 1e9)
        from resources.models.torch_network import resolve_device

        device = resolve_device(self.device)
        if device.startswith("cuda"):
            import torch

            return int(SHARE_OF_DEVICE * gpu_share() * torch.cuda.get_device_properties(device).total_memory)
        return int(SHARE_OF_MACHINE * Machine().memory)

    def load(self, entry: ModelEntry) -> Runner:
        """A model of one's own, outside the cache of ``get``: for checks.

        Raises:
            ModelError: see ``get``.
        """
        from resources.models.torch_network import resolve_device

        device = resolve_device(self.device)
        place, meant = self._place(entry, device), self._place(entry, "")
        if not device.startswith("cuda") and meant.precision != "float32" and place.engine != "openvino":
            raise ModelError(
                f"resources.models.precision={self.precision!r} needs CUDA, this is {device}: use 'float32'"
            )
        mark = self.fingerprint(entry.name) if entry.name in _readable() else entry.fingerprint()
        family, folder = family_of(entry), self.files.verified(entry)
        try:
            network = _loaded_there(family, entry, folder, place)
        except DeviceError as error:
            if self.device != "auto":
                raise
            place = replace(place, device="cpu")
            log.warning("%s; it runs on the CPU", error)
            network = family.load(entry, folder, place)
        except (ConversionError, OSError) as error:
            if self.engine != "auto" or place.engine == family.ENGINES[0]:
                raise
            place = replace(place, engine=family.ENGINES[0])
            log.warning("%s; it runs with %s, more slowly", error, place.engine)
            network = family.load(entry, folder, place)
        place = replace(place, device=network.device or place.device)
        log.info("loaded model %s on %s (%s, %s)", entry.name, place.device, place.engine, network.precision)
        batch = self.batch_size or (CPU_BATCH if place.device == "cpu" else GPU_BATCH)
        return Runner(entry, network, place, mark, batch)


class _LoadedModels:
    """The models of this process, the one that was used longest ago first.

    One object per model and process: Dagster builds the resource again in every step, which must not load weights again.
    """

    def __init__(self) -> None:
        self._runners: OrderedDict[tuple[Any, ...], Runner] = OrderedDict()
        self._lock = threading.Lock()
        self._told: set[str] = set()

    def get(self, models: Models, entry: ModelEntry) -> Runner:
        with self._lock:
            settings = (models.engine, models.device, models.batch_size)
            key = (entry.name, models.fingerprint(entry.name), repr(entry), *settings)
            if key not in self._runners:
                self._tell_terms(entry)
                self._make_room(models, entry)
                self._runners[key] = models.load(entry)
            self._runners.move_to_end(key)
            return self._runners[key]

    def names(self, models: Models) -> set[str]:
        """The models that are loaded for these settings."""
        with self._lock:
            return {
                name
                for name, *_, device, batch in self._runners
                if (device, batch) == (models.device, models.batch_size)
            }

    def _make_room(self, models: Models, entry: ModelEntry) -> None:
        """Drop models that were used longest ago until another one fits; a pass that still holds one keeps it alive."""
        budget, wanted = models._budget(), _expected(entry)
        if wanted > budget:
            more = "" if gpu_share() == 1 else f" ({gpu_share():g} of the GPU: $AROT_UNIT_GPUS)"
            raise ModelError(
                f"model '{entry.name}' takes {wanted / 1e9:.1f} GB, and {budget / 1e9:.1f} GB are allowed on "
                f"{models.device}{more}; raise resources.models.memory_gb, or use a larger device"
            )
        while self._runners and sum(r.network.bytes for r in self._runners.values()) + wanted > budget:
            (name, *_), _ = self._runners.popitem(last=False)
            log.info("dropped model %s to make room for %s", name, entry.name)

    def _tell_terms(self, entry: ModelEntry) -> None:
        """Say once what a user has to know before the scores are used."""
        if entry.name in self._told or not (entry.use or entry.gated or entry.runs):
            return
        self._told.add(entry.name)
        if entry.runs:
            log.warning("model %s: %s (%s)", entry.name, entry.runs, ", ".join(entry.code))
        if entry.use:
            log.warning("model %s: %s", entry.name, entry.use)
        if entry.gated:
            log.warning("model %s: %s is gated; its terms must be accepted there", entry.name, entry.public_name)


_loaded = _LoadedModels()


def _loaded_there(family: Family, entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """A family's network.

    Raises:
        ModelError: it cannot be loaded, or its weights do not fit into the device's memory.
    """
    try:
        return family.load(entry, folder, place)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        more = "give it a larger part of the GPU ($AROT_UNIT_GPUS)" if gpu_share() < 1 else "free it of other processes"
        raise ModelError(
            f"model '{entry.name}' does not fit into the memory of {place.device}: {str(error).partition('. ')[0]}; {more}, "
            "or set resources.models.device='cpu'"
        ) from error


def _input(entry: ModelEntry) -> str:
    """What it takes, for users."""
    how = entry.preprocessing
    if how is not None:
        return f"{' x '.join(map(str, how.height_width))}, {how.resize}"
    return "sound, 16 kHz, one channel" if entry.takes == "sound" else "as its repository says"


def _expected(entry: ModelEntry) -> int:
    """Bytes that the weights will take."""
    return entry.parameters * FLOAT32_BYTES


def _readable() -> set[str]:
    return {entry.name for entry in all_entries()[0]}
