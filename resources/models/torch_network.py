"""Running a PyTorch module: device, precision, threads.

Belongs here: what every family with a torch module shares. Does not belong here: which module it is (``families``), batches and
memory (``runner.py``).
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.machine import gpu_share
from resources.memory import release_loaded
from resources.models.device_queue import DeviceQueue, as_images, pinned
from resources.models.entry import ModelEntry, ModelError, Preprocessing
from resources.models.network import Network, Outputs, Placement
from resources.models.preprocessing import preprocess, values_of_levels

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


def torch_network(
    module: "torch.nn.Module",
    forward: "Callable[[Any, torch.Tensor], dict[str, torch.Tensor]]",
    place: Placement,
    prepare: Callable[[NDArray[np.uint8]], NDArray[Any]],
    input_shape: tuple[int, ...] | None,
) -> Network:
    """A network that runs a module on a device.

    Args:
        module: float32, with its weights, on the CPU.
        forward: module and ``[N, …]`` on the device -> arrays by name.
        place: where it is to run.
        prepare: see ``Network``.
        input_shape: see ``Network``.
    """
    import torch

    _configure(place)
    module = module.eval().requires_grad_(False)
    module = module.to(device=place.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    size = sum(t.numel() * t.element_size() for t in (*module.parameters(), *module.buffers()))
    if place.device == "cpu":
        release_loaded()
    dtype, device_type = getattr(torch, place.precision), place.device.partition(":")[0]

    def computed(tensor: "torch.Tensor") -> "dict[str, torch.Tensor]":
        with torch.autocast(device_type, dtype=dtype, enabled=dtype != torch.float32, cache_enabled=False):
            return {name: value.float() for name, value in forward(module, tensor).items()}

    if place.device.startswith("cuda"):
        queue = DeviceQueue(computed, place.device, input_shape is not None)
        return Network(
            prepare, queue.predict, input_shape, size, precision=place.precision, begin=queue.begin, room=pinned
        )

    def predict(batch: NDArray[Any]) -> Outputs:
        with torch.inference_mode():
            return {name: value.cpu().numpy() for name, value in computed(_on_device(batch, place.device)).items()}

    return Network(prepare, predict, input_shape, size, precision=place.precision)


def _on_device(batch: NDArray[Any], device: str) -> "torch.Tensor":
    import torch

    return as_images(torch.from_numpy(batch).to(device))


def _configure(place: Placement) -> None:
    import torch

    if place.device == "cpu":
        release_loaded()  # before the family loads anything else
        torch.set_num_threads(place.threads)
    else:
        # TF32 keeps only 10 bits of the mantissa: an image would score differently with and without a GPU
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
        keep_to_share(place.device)


def keep_to_share(device: str) -> None:
    """Take no more of a GPU's memory than this process has of it, so that whoever has the rest finds it free.

    Without, PyTorch keeps what it has freed, and a process that was first leaves its neighbour too little for a batch.
    """
    import torch

    if device.startswith("cuda") and gpu_share() < 1:
        index = device.partition(":")[2]
        torch.cuda.set_per_process_memory_fraction(gpu_share(), int(index) if index else torch.cuda.current_device())


def levels_network(
    module: "torch.nn.Module",
    forward: "Callable[[Any, torch.Tensor], dict[str, torch.Tensor]]",
    place: Placement,
    how: Preprocessing,
) -> Network:
    """A network whose inputs are prepared as an entry states them.

    A GPU gets levels, a quarter of the bytes of their values, and looks the values up in the table that a CPU uses: the same
    numbers, and less work for the threads that decode.
    """
    if not place.device.startswith("cuda") or how.dtype == "uint8" or how.scale == "0-max":
        return torch_network(module, forward, place, lambda rgb: preprocess(rgb, how), how.input_shape)
    levels = replace(how, dtype="uint8", layout="NHWC")
    return network_of_levels(
        module,
        forward if how.layout == "NCHW" else lambda m, batch: forward(m, batch.permute(0, 2, 3, 1)),
        place,
        lambda rgb: preprocess(rgb, levels),
        levels.input_shape,
        values_of_levels(how),
    )


def network_of_levels(
    module: "torch.nn.Module",
    forward: "Callable[[Any, torch.Tensor], dict[str, torch.Tensor]]",
    place: Placement,
    prepare: Callable[[NDArray[np.uint8]], NDArray[np.uint8]],
    input_shape: tuple[int, ...] | None,
    values: NDArray[np.float32],
) -> Network:
    """A network on a GPU whose inputs are levels ``uint8 [H, W, 3]``, of which the device looks the values up.

    Args:
        module: see ``torch_network``.
        forward: module and values ``float32 [N, 3, H, W]`` -> arrays by name.
        place: see ``torch_network``.
        prepare: an image's levels.
        input_shape: see ``Network``.
        values: ``[3, 256]``: the value of each level of each channel.
    """
    import torch

    table = torch.from_numpy(values).to(place.device)

    def looked_up(model: Any, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
        flat = [table[channel].index_select(0, batch[..., channel].flatten().int()) for channel in range(3)]
        return forward(model, torch.stack(flat, dim=-1).view(batch.shape).permute(0, 3, 1, 2))

    return torch_network(module, looked_up, place, prepare, input_shape)


def read_tensors(entry: ModelEntry, file: Path) -> "dict[str, torch.Tensor]":
    """The tensors of a ``.safetensors`` or ``.pth`` file; of the latter those of its ``state_dict`` or ``model``, if it has one.

    Raises:
        ModelError: it is a pickle that holds anything but tensors, or no such file at all.
    """
    import torch

    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(file))
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # safetensors and pickle each have errors of their own
        said = " ".join(str(error).split())[:200]
        raise ModelError(
            f"model '{entry.name}': {file.name} cannot be read as tensors alone: {said}; a pickle may run code, so only "
            "safetensors and plain tensors are loaded: convert it, or ask its author for safetensors"
        ) from error
    inside = [found[name] for name in ("state_dict", "model") if name in found] if isinstance(found, dict) else []
    state = next((one for one in inside if isinstance(one, dict)), found)
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise ModelError(f"model '{entry.name}': {file.name} holds no mapping of names to tensors")
    return state


def load_strictly(entry: ModelEntry, module: "torch.nn.Module", tensors: "dict[str, torch.Tensor]", what: str) -> None:
    """Load tensors of exactly a module's names and shapes.

    Raises:
        ModelError: they are not those of the module.
    """
    try:
        module.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ModelError(f"model '{entry.name}': the weights do not fit {what}: {error}") from error


def resolve_device(device: str) -> str:
    """The device to use: ``auto`` picks CUDA, then Apple's MPS, then the CPU.

    Raises:
        ModelError: the named device is not available.
    """
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device == "auto":
        return next(name for name, there in found.items() if there)
    kind, _, index = device.partition(":")
    there = found.get(kind, False) and (not index or (kind == "cuda" and index.isdigit() and int(index) < _gpus()))
    if not there:
        gpus = ", ".join(f"'cuda:{n}'" for n in range(_gpus()))
        has = ", ".join([f"'{name}'" for name, ok in found.items() if ok] + ([gpus] if gpus else []))
        raise ModelError(f"resources.models.device={device!r} is not available here; use 'auto', or one of {has}")
    return device


def _gpus() -> int:
    import torch

    return torch.cuda.device_count() if torch.cuda.is_available() else 0
