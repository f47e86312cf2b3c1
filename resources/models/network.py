"""What a family makes of an entry: a network that is loaded, and how it runs.

Belongs here: the interface between families and the runner (``Network``), and where a model runs (``Placement``). Does not belong
here: batches and memory (``runner.py``), finding a family (``which_family.py``), and any family (``families/``: a file each).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError

Precision = Literal["float32", "bfloat16", "float16"]
Engine = Literal["auto", "torch", "onnxruntime", "openvino"]
REDUCING = ("torch", "openvino")
"""Engines that can compute in less than float32; with others a model is float32 whatever is asked for."""
Outputs: TypeAlias = Mapping[str, Any]
"""Name -> array ``[N, …]``, or a list of N values for what is no array (boxes, keypoints, text)."""


class DeviceError(ModelError):
    """An engine that cannot use the device."""


@dataclass(frozen=True)
class Placement:
    """Where a model is to run, and how; a network says where it does.

    Attributes:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
        precision: of the computation.
        engine: never ``auto``: one of the family's.
        threads: of one forward pass on a CPU.
        kept: folder of the model cache, for what is made of weights once.
    """

    device: str
    precision: Precision
    engine: str
    threads: int
    kept: str = ""


@dataclass(frozen=True)
class Network:
    """A model that is loaded.

    Attributes:
        prepare: ``uint8 [H, W, 3]`` RGB, upright, opaque -> one image's input; called in decoding threads. A head's input is
            the stored vector, and is not prepared. For sound: ``float32 [n]``, a whole one -> one input.
        predict: ``[N, …]`` inputs -> its arrays by name; called by one thread at a time.
        input_shape: of one image; None where it depends on the image, which is then a batch of its own.
        bytes: memory that its weights take on the device.
        batch: the only size of a batch that it takes; None: any.
        encode_text: texts -> ``float32 [N, D]``, in the space of ``embedding``; None without a text tower.
        precision: what it really computes in, as its engine reports it.
        device: where it really computes, as its engine reports it; empty: where it was to run.
        begin: hands ``[N, …]`` inputs to the device and returns at once; what it gives waits for the arrays. The inputs are left
            alone until then. Called by one thread at a time, what it gives by any. None: the network computes in ``predict``.
        room: shape and type -> an array for inputs, in memory from which they reach the device soonest; its content is undefined.
    """

    prepare: Callable[[NDArray[np.uint8]], NDArray[Any]]
    predict: Callable[[NDArray[Any]], Outputs]
    input_shape: tuple[int, ...] | None
    bytes: int
    batch: int | None = None
    encode_text: "Callable[[Sequence[str]], NDArray[np.float32]] | None" = None
    precision: str = "float32"
    device: str = ""
    begin: "Callable[[NDArray[Any]], Callable[[], Outputs]] | None" = None
    room: "Callable[[tuple[int, ...], np.dtype[Any]], NDArray[Any]]" = np.empty


class Family(Protocol):
    """What the module of a family provides. Everything heavy is imported inside its functions."""

    VERSION: str
    """Of its code: raised when that changes numbers, and part of the version of every row from then on. It starts at ``1``."""
    ENGINES: Sequence[str]
    """The engines that can run it; the first is what ``auto`` takes."""
    FILES: Sequence[str]
    """Patterns of the files of a repository that it needs, for ``arot models pin``."""

    def load(self, entry: ModelEntry, folder: Path, place: Placement) -> Network:
        """The network with its weights, in evaluation mode.

        Args:
            entry: what to load.
            folder: has every file of ``entry.weights.files``, verified.
            place: where it is to run.

        Raises:
            ModelError: the files do not fit the entry.
        """
        ...

    def reference(self, entry: ModelEntry, folder: Path) -> "Callable[[Any], Outputs]":
        """The model card's own pipeline, float32 on the CPU: one upright RGB image, or ``float32 [n]`` of sound at the model's
        rate -> arrays with a batch axis of 1.

        Shares no code with ``load``: it is what that is compared with.
        """
        ...
