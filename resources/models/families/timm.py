"""The ``timm`` family: image backbones, classifiers and taggers of pytorch-image-models.

Belongs here: how an entry becomes a module with its pinned weights, one forward pass, and timm's own pipeline to compare with.
Does not belong here: threads and devices (``torch_network.py``), preprocessing (``preprocessing.py``).

Weights are a repository in timm's layout (``config.json`` and ``model.safetensors``), or one file of tensors for
``options.architecture``; ``options.arguments`` go to the architecture, ``options.classifier`` are the layers of another
classifier. Arrays: ``embedding``, the pooled features before the classifier, and ``logits``.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.models.converted import ConversionError, converted
from resources.models.entry import ModelEntry, ModelError, Preprocessing
from resources.models.families.onnx import session
from resources.models.network import Network, Outputs, Placement
from resources.models.preprocessing import preprocess
from resources.models.torch_network import levels_network, load_strictly, read_tensors

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("torch", "onnxruntime")
FILES = ("config.json", "model.safetensors", "selected_tags.csv")


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``. Each convolution absorbs the batch normalization after it, which changes outputs by less than 1e-5 of
    their range and saves a fifth of the time on a CPU.
    """
    if place.engine == "onnxruntime":
        return _converted(entry, folder, place)
    module = _loaded(entry, folder)
    how = entry.preprocessing or published(_data_config(module), entry)
    return levels_network(module, forward, place, how)


def _converted(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """The same network as ONNX Runtime runs it; neither torch nor timm is asked where its graph is in the model cache."""
    how = entry.preprocessing or published(_data_config(_module(entry, folder)), entry)
    shape = how.input_shape
    if shape is None or how.layout != "NCHW" or how.dtype != "float32":
        raise ConversionError(f"model '{entry.name}': ONNX Runtime needs inputs of one size, float32 and NCHW")
    file = converted(entry, place.kept, lambda: (_loaded(entry, folder), forward), shape)
    graph = session(entry, file, place)
    size, precision, device = file.stat().st_size, graph.precision, graph.device
    return Network(lambda rgb: preprocess(rgb, how), graph.run, shape, size, precision=precision, device=device)


def _loaded(entry: ModelEntry, folder: Path) -> Any:
    """The module with its weights, its batch normalizations folded."""
    module = _module(entry, folder)
    tensors = read_tensors(entry, folder / entry.file())
    if entry.options.get("tensor_names") == "efficientnet_pytorch":
        tensors = {timm_name(name, tensors, [len(stage) for stage in module.blocks]): t for name, t in tensors.items()}
    load_strictly(entry, module, tensors, f"timm {_architecture(entry, folder)!r}")
    fold_batch_norm(module.eval())
    return module


def forward(model: Any, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
    """``[N, 3, H, W]`` -> pooled ``embedding [N, D]`` and ``logits [N, classes]`` (none without a classifier)."""
    embedding = model.forward_head(model.forward_features(batch), pre_logits=True)
    if not getattr(model, "num_classes", 0):
        return {"embedding": embedding}
    return {"embedding": embedding, "logits": model.get_classifier()(embedding)}


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """timm's own ``create_transform``, and its model with nothing folded. The entry's preprocessing is stated for timm."""
    import timm
    import torch
    from timm.data import create_transform

    if _architecture_option(entry):
        module: Any = _module(entry, folder)
        tensors = read_tensors(entry, folder / entry.file())
        if entry.options.get("tensor_names") == "efficientnet_pytorch":  # both list the same tensors in the same order
            tensors = dict(zip(module.state_dict(), tensors.values(), strict=True))
        module.load_state_dict(tensors)
    else:
        module = timm.create_model(f"local-dir:{(folder / entry.file('config.json')).parent}", pretrained=True)
    module.eval()
    transform = create_transform(**_reference_config(entry, _data_config(module)), is_training=False)
    flip = entry.preprocessing is not None and entry.preprocessing.channels == "BGR"
    how = entry.preprocessing

    def run(picture: "Image") -> Outputs:
        if how is not None and how.resize == "pad":
            picture = _squared(picture, how.colour)
        elif how is not None and how.canvas:
            picture = _fitted(picture, how.canvas, how.colour)
        tensor = transform(picture)[None]
        with torch.inference_mode():
            features = module.forward_features(tensor[:, [2, 1, 0]] if flip else tensor)
            said = {"embedding": module.forward_head(features, pre_logits=True)}
            if module.num_classes:
                said["logits"] = module(tensor[:, [2, 1, 0]] if flip else tensor)
        return {name: value.numpy() for name, value in said.items()}

    return run


def published(config: Mapping[str, Any], entry: ModelEntry) -> Preprocessing:
    """timm's data configuration as ours.

    Raises:
        ModelError: a way of cropping that it has and we do not.
    """
    modes = {"center": "center_crop", "squash": "squash", "border": None}
    mode = modes.get(config["crop_mode"])
    if mode is None:
        raise ModelError(
            f"model '{entry.name}': timm's crop_mode {config['crop_mode']!r} is not known; state `preprocessing` in the entry"
        )
    height, width = config["input_size"][1:]
    how = Preprocessing((height, width), "squash", tuple(config["mean"]), tuple(config["std"]), config["interpolation"])
    return replace(how, resize=mode, crop=config["crop_pct"])  # type: ignore[arg-type]


def _reference_config(entry: ModelEntry, config: dict[str, Any]) -> dict[str, Any]:
    how = entry.preprocessing
    if how is None:
        return config
    said = {"input_size": (3, *how.height_width), "mean": how.mean, "std": how.std, "interpolation": how.interpolation}
    modes = {
        "squash": "squash",
        "pad": "squash",
        "center_crop": "center",
        **({"letterbox": "squash"} if how.canvas else {}),
    }
    if how.resize not in modes or how.scale != "0-1":
        raise ModelError(f"model '{entry.name}': timm has no pipeline that prepares as {how.resize!r} does")
    return {**said, "crop_mode": modes[how.resize], "crop_pct": how.crop}


def _squared(picture: "Image", colour: tuple[int, int, int]) -> "Image":
    from PIL import Image, ImageOps

    side = max(picture.size)
    canvas = Image.new("RGB", (side, side), colour)
    canvas.paste(ImageOps.exif_transpose(picture), ((side - picture.width) // 2, (side - picture.height) // 2))
    return canvas


def _fitted(picture: "Image", side: int, colour: tuple[int, int, int]) -> "Image":
    """imgutils' ``pad_to_size``: as large as fits, bilinear, in the middle."""
    from PIL import Image

    ratio = side / max(picture.size)
    wide, high = (max(1, round(length * ratio)) for length in picture.size)
    canvas = Image.new("RGB", (side, side), colour)
    canvas.paste(picture.resize((wide, high), Image.Resampling.BILINEAR), ((side - wide) // 2, (side - high) // 2))
    return canvas


def _data_config(module: Any) -> dict[str, Any]:
    from timm.data import resolve_model_data_config

    return dict(resolve_model_data_config(module))


def _architecture_option(entry: ModelEntry) -> str:
    return str(entry.options.get("architecture", ""))


def _architecture(entry: ModelEntry, folder: Path) -> str:
    named = _architecture_option(entry)
    if named:
        return named
    file = folder / entry.file("config.json")
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["architecture"])
    except (json.JSONDecodeError, KeyError) as error:
        raise ModelError(
            f"model '{entry.name}': {file.name} names no timm architecture; is it a timm repository?"
        ) from error


def _module(entry: ModelEntry, folder: Path) -> Any:
    """The architecture, its weights not loaded."""
    import timm

    arguments = dict(entry.options.get("arguments", {}))
    named = _architecture_option(entry)
    try:
        if named:
            return _with_classifier(entry, timm.create_model(named, pretrained=False, **arguments))
        source = f"local-dir:{(folder / entry.file('config.json')).parent}"
        return timm.create_model(source, pretrained=False, **arguments)
    except RuntimeError as error:
        raise ModelError(f"model '{entry.name}': timm cannot make it: {error}") from error


def _with_classifier(entry: ModelEntry, module: Any) -> Any:
    """The architecture with the classifier of ``options.classifier``, if it has one of its own.

    A list of the layers behind the pooled features: a number is a linear layer of so many outputs, ``relu`` and ``dropout``
    themselves, so that the numbers in the names of the tensors are those of the list.
    """
    from torch import nn

    said = entry.options.get("classifier")
    if said is None:
        return module
    layers: list[nn.Module] = []
    width = int(module.num_features)
    for one in said:
        if isinstance(one, int):
            layers.append(nn.Linear(width, one))
            width = one
        elif one in ("relu", "dropout"):
            layers.append(nn.ReLU() if one == "relu" else nn.Dropout())
        else:
            raise ModelError(
                f"model '{entry.name}': options.classifier has {one!r}; it is a number, 'relu' or 'dropout'"
            )
    module.classifier, module.num_classes = nn.Sequential(*layers), width
    return module


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
