"""The ``timm`` family: image backbones and classifiers of pytorch-image-models.

Belongs here: how an entry becomes a module with its pinned weights, and one forward pass.
Does not belong here: batching, threads and devices (``models.py``), preprocessing (``preprocessing.py``).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.models.entry import ModelEntry, ModelError
from resources.models.preprocessing import preprocess

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray


def load(entry: ModelEntry, weights: Path) -> "torch.nn.Module":
    """Build the architecture and load ``weights``; float32, in evaluation mode, on the CPU.

    Each convolution absorbs the batch normalization after it, which changes outputs by less than 1e-5 of their range and saves a
    fifth of the time on a CPU.

    Raises:
        ModelError: the file's tensors are not those of the architecture.
    """
    import timm

    architecture = entry.options["architecture"]
    model: Any = timm.create_model(architecture, pretrained=False)
    tensors = read_tensors(weights)
    if entry.options.get("tensor_names") == "efficientnet_pytorch":
        tensors = {timm_name(name, tensors, [len(stage) for stage in model.blocks]): t for name, t in tensors.items()}
    try:
        model.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise ModelError(f"model {entry.name!r}: {weights.name} does not fit timm {architecture!r}: {error}") from error
    fold_batch_norm(model.eval())
    module: torch.nn.Module = model.requires_grad_(False)
    return module


def prepare(entry: ModelEntry, rgb: "NDArray[np.uint8]") -> "NDArray[np.float32]":
    """``uint8 [H, W, 3]`` RGB -> ``float32 [3, S, S]``, as the entry specifies."""
    return preprocess(rgb, entry.preprocessing)


def predict(model: Any, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """``[N, 3, S, S]`` -> pooled ``embedding [N, D]`` and ``logits [N, classes]``."""
    embedding = model.forward_head(model.forward_features(batch), pre_logits=True)
    return {"embedding": embedding, "logits": model.get_classifier()(embedding)}


def read_tensors(path: Path) -> "dict[str, torch.Tensor]":
    """The tensors of a ``.safetensors`` or ``.pth`` file; torch rejects a pickle that contains anything else."""
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        return dict(load_file(path))
    import torch

    return dict(torch.load(path, map_location="cpu", weights_only=True))


_OUTSIDE_BLOCKS = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
_BLOCK = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_BLOCK_WITHOUT_EXPANSION = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def timm_name(name: str, names: Mapping[str, Any], stage_lengths: list[int]) -> str:
    """The name that timm's EfficientNet gives to a tensor of the ``efficientnet_pytorch`` naming.

    That naming numbers blocks through the whole network, while timm numbers stages and the blocks within a stage, and it names
    the layers of a block by their function, whether or not the block expands its channels first.

    Args:
        name: e.g. ``_blocks.3._bn0.weight``.
        names: all names of the file: they tell whether a block has an expansion.
        stage_lengths: blocks in each stage of the timm model.
    """
    head, _, rest = name.partition(".")
    if head != "_blocks":
        return f"{_OUTSIDE_BLOCKS[head]}.{rest}"
    index, layer, tensor = rest.split(".")
    layers = _BLOCK if f"_blocks.{index}._expand_conv.weight" in names else _BLOCK_WITHOUT_EXPANSION
    stage, block = 0, int(index)
    while block >= stage_lengths[stage]:
        block -= stage_lengths[stage]
        stage += 1
    return f"blocks.{stage}.{block}.{layers[layer]}.{tensor}"


def fold_batch_norm(model: "torch.nn.Module") -> None:
    """Merge every batch normalization into the convolution that its parent module lists right before it, in place.

    timm's ``BatchNormAct2d`` also applies the activation, which is kept. A normalization after anything else is left alone.
    """
    import torch
    from timm.layers import BatchNormAct2d
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for parent in list(model.modules()):
        before: tuple[str, torch.nn.Module] | None = None
        for name, child in list(parent.named_children()):
            if isinstance(child, BatchNormAct2d) and before and isinstance(before[1], torch.nn.Conv2d):
                setattr(parent, before[0], fuse_conv_bn_eval(before[1], child))
                setattr(parent, name, child.act)
            before = name, child
