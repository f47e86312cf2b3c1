"""The ``clip`` family: image and text embeddings of one space, by open_clip or by transformers.

Belongs here: loading either layout from pinned files: ``open_clip_config.json`` with its safetensors, or a CLIP, SigLIP or
SigLIP 2 of transformers with ``preprocessor_config.json`` and its tokenizer. Does not belong here: prompts and what they are
compared with (``arot_assets.metrics``).

The array is ``embedding``, not normalised. Texts are encoded by ``Network.encode_text`` into the same space.

Weights that OpenAI trained need QuickGELU. open_clip computes with another activation and only warns where the architecture
``ViT-L-14`` is loaded with them in place of ``ViT-L-14-quickgelu``; here that is an error.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError, Preprocessing
from resources.models.network import Network, Outputs, Placement
from resources.models.torch_network import levels_network, torch_network
from resources.models.transformers_files import folder_of, from_files, processor_network, processor_of, trusted

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("torch",)
FILES = (
    "open_clip_config.json",
    "open_clip_model.safetensors",
    "config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "tokenizer.model",
    "vocab.json",
    "merges.txt",
)
OPEN_CLIP = "open_clip_config.json"


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    return _open_clip(entry, folder, place) if OPEN_CLIP in entry.weights.files else _transformers(entry, folder, place)


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """open_clip's ``create_model_and_transforms``, or transformers' model and processor, as a model card calls them."""
    import torch

    if OPEN_CLIP in entry.weights.files:
        import open_clip

        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        model.eval()

        def run(picture: "Image") -> Outputs:
            with torch.inference_mode():
                return {"embedding": model.encode_image(preprocess(picture)[None]).numpy()}

        return run
    from transformers import AutoImageProcessor, AutoModel

    folder, code = folder_of(entry, folder), trusted(entry)
    both = AutoModel.from_pretrained(folder, **code).eval()
    processor = AutoImageProcessor.from_pretrained(folder, **code)

    def run_transformers(picture: "Image") -> Outputs:
        with torch.inference_mode():
            found = both.get_image_features(**processor(images=picture, return_tensors="pt"))
        return {"embedding": _pooled(found).numpy()}

    return run_transformers


def _open_clip(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    import open_clip

    config = json.loads((folder / OPEN_CLIP).read_text(encoding="utf-8"))
    _right_activation(entry, config)
    try:
        model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
        tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    except (RuntimeError, ValueError, OSError, FileNotFoundError) as error:
        said = " ".join(str(error).split())[:300]
        raise ModelError(f"model '{entry.name}': open_clip cannot load it: {said}") from error

    def prepare(rgb: NDArray[np.uint8]) -> NDArray[Any]:
        from PIL import Image

        return np.ascontiguousarray(preprocess(Image.fromarray(rgb)).numpy(), np.float32)

    def forward(module: Any, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
        return {"embedding": module.encode_image(batch)}

    def tokens(texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        return {"text": tokenizer(list(texts))}

    how = stated(model.visual.preprocess_cfg)
    network = (
        levels_network(model, forward, place, how)
        if how is not None
        else torch_network(model, forward, place, prepare, _shape(prepare))
    )
    return _with_text(network, place, tokens, lambda text: model.encode_text(text))


def stated(config: Mapping[str, Any]) -> Preprocessing | None:
    """open_clip's preprocessing as ours, which gives the same pixels sooner; None for a way that ours has not."""
    size, mode = config["size"], config.get("resize_mode", "shortest")
    height, width = (size, size) if isinstance(size, int) else size
    interpolation = config.get("interpolation", "bicubic")
    if interpolation not in ("bicubic", "bilinear"):
        return None
    values = (tuple(config["mean"]), tuple(config["std"]), interpolation)
    if mode == "squash":
        return Preprocessing((height, width), "squash", *values)
    return Preprocessing((height, width), "center_crop", *values) if mode == "shortest" and height == width else None


def _transformers(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    from transformers import AutoModel

    folder = folder_of(entry, folder)
    model = from_files(entry, folder, AutoModel)
    if not hasattr(model, "get_image_features"):
        raise ModelError(f"model '{entry.name}': {type(model).__name__} of transformers has no image embedding")
    processor = processor_of(entry, folder)

    def forward(module: Any, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
        return {"embedding": _pooled(module.get_image_features(pixel_values=batch))}

    network = processor_network(model, forward, place, processor)
    if not any(path.startswith("tokenizer") for path in entry.weights.files):
        return network
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, **trusted(entry), local_files_only=True)
    longest = getattr(getattr(model.config, "text_config", model.config), "max_position_embeddings", 77)
    siglip = "siglip" in str(getattr(model.config, "model_type", ""))

    def tokens(texts: Sequence[str]) -> "dict[str, torch.Tensor]":
        # SigLIP was trained on texts padded to the full length, without a mask
        found = tokenizer(
            list(texts),
            padding="max_length" if siglip else True,
            truncation=True,
            max_length=longest,
            return_tensors="pt",
        )
        keys = ("input_ids",) if siglip else ("input_ids", "attention_mask")
        return {key: found[key] for key in keys}

    return _with_text(network, place, tokens, lambda **text: _pooled(model.get_text_features(**text)))


def _with_text(
    network: Network,
    place: Placement,
    tokens: "Callable[[Sequence[str]], dict[str, torch.Tensor]]",
    encode: "Callable[..., torch.Tensor]",
) -> Network:
    from dataclasses import replace

    def encode_text(texts: Sequence[str]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            moved = {name: tensor.to(place.device) for name, tensor in tokens(texts).items()}
            return encode(**moved).float().cpu().numpy()

    return replace(network, encode_text=encode_text)


def _right_activation(entry: ModelEntry, config: dict[str, Any]) -> None:
    """Refuse OpenAI's weights in an architecture without QuickGELU."""
    said = config.get("model_cfg", {})
    vision = said.get("vision_cfg", {})
    quick = bool(said.get("quick_gelu", vision.get("quick_gelu", False)))
    pretrained = " ".join([entry.public_name, str(entry.options.get("pretrained", ""))]).lower()
    if ("openai" in pretrained or entry.options.get("quick_gelu")) and not quick:
        raise ModelError(
            f"model '{entry.name}': OpenAI's weights were trained with QuickGELU, and its {OPEN_CLIP} has no "
            "`quick_gelu: true`, so that every embedding would be wrong; use the repository of the -quickgelu architecture"
        )


def _pooled(found: Any) -> Any:
    """The embedding: transformers returns it as it is, or as the pooled output of a structure."""
    return found if not hasattr(found, "pooler_output") else found.pooler_output


def _shape(prepare: Callable[[NDArray[np.uint8]], NDArray[Any]]) -> tuple[int, ...]:
    return prepare(np.zeros((8, 8, 3), np.uint8)).shape
