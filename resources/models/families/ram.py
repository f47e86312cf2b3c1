"""The ``ram`` family: RAM++, which asks an image for each of thousands of plain words.

Belongs here: the layout of its published checkpoint, and one forward pass. Does not belong here: threads and devices
(``torch_network.py``), preprocessing (``preprocessing.py``), the words and their thresholds (``tag_files.py``).

A Swin transformer sees the image; ``image_proj`` brings the mean of its tokens and the tokens themselves into the space of texts.
Each tag has several described texts (``label_embed``): the mean token weighs them by a softmax over its scaled products with them
("Open-Set Image Tagging with Multi-Grained Text Supervision", arXiv 2310.15200, section 3.3). The weighted texts are queries that
attend to the image in layers of BERT without self-attention, and ``fc`` makes one logit of each.

The file holds ``model``, in the naming of Microsoft's Swin and of BERT. ``options``: ``architecture``, timm's name of the Swin,
``arguments`` for it, ``heads`` of the attention. Arrays: ``logits``, one a tag, and ``embedding``, the mean token in the space of
texts, which was distilled from CLIP.
"""

import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resources.models.entry import ModelEntry, ModelError, Preprocessing
from resources.models.network import Network, Outputs, Placement
from resources.models.tag_files import tags_output
from resources.models.torch_network import levels_network, load_strictly, read_tensors

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

log = logging.getLogger(__name__)

VERSION = "1"
ENGINES = ("torch",)
FILES = ("ram_plus_*.pth", "*.safetensors")
SWIN = "swin_large_patch4_window12_384"
HEADS = 4
"""Of each attention: ``q2l_config.json`` of the published code."""
BERT_EPSILON = 1e-12
BUFFERS = ("relative_position_index", "attn_mask")
"""What older versions of Swin kept beside its weights: it follows from the architecture."""


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    how = _preprocessing(entry)
    tensors = read_tensors(entry, folder / entry.file())
    tensors = {named: tensor.float() for name, tensor in tensors.items() if (named := module_name(name))}
    try:
        module = _module(entry, tensors)
    except KeyError as error:
        raise ModelError(
            f"model '{entry.name}': its file has no tensor {error}; is it a checkpoint of RAM++?"
        ) from error
    wanted = module.state_dict()
    more = sorted(set(tensors) - set(wanted))
    if more:
        log.warning("model '%s': %d tensors of its file are not used: %s", entry.name, len(more), ", ".join(more[:5]))
    load_strictly(entry, module, {n: t for n, t in tensors.items() if n in wanted}, "RAM++")
    tags, heads = _tag_count(entry), int(entry.options.get("heads", HEADS))
    return levels_network(module, lambda model, batch: forward(model, batch, tags, heads), place, how)


def module_name(name: str) -> str:
    """The name in our module of a tensor of the published file; empty for what follows from the architecture.

    timm reduces the resolution at the beginning of a stage, Microsoft's Swin at the end of the one before.
    """
    if name.endswith(BUFFERS):
        return ""
    name = name.replace("vision_multi", "tagging_head")
    return re.sub(
        r"^visual_encoder\.layers\.(\d+)\.downsample",
        lambda found: f"visual_encoder.layers.{int(found[1]) + 1}.downsample",
        name,
    )


def forward(model: Any, batch: "torch.Tensor", tags: int, heads: int) -> "dict[str, torch.Tensor]":
    """``[N, 3, H, W]`` -> ``logits [N, tags]`` and ``embedding [N, D]``."""
    import torch
    from torch.nn import functional

    tokens = model.visual_encoder.forward_features(batch).flatten(1, 2)
    image = model.image_proj(torch.cat([tokens.mean(dim=1, keepdim=True), tokens], dim=1))
    whole, texts = image[:, 0], model.label_embed
    likeness = model.reweight_scale.exp() * functional.normalize(whole, dim=1) @ texts.T
    weights = likeness.view(len(batch), tags, -1).softmax(dim=-1)
    # a product for each tag, so that no image needs the texts in memory again
    queries = torch.bmm(weights.transpose(0, 1), texts.view(tags, -1, texts.shape[1]).to(weights.dtype)).transpose(0, 1)
    state = functional.relu(model.wordvec_proj(queries))
    for layer in model.tagging_head["encoder"]["layer"]:
        state = _layer(layer, state, image, heads)
    return {"logits": model.fc(state).squeeze(-1), "embedding": whole}


def _layer(layer: Any, state: "torch.Tensor", image: "torch.Tensor", heads: int) -> "torch.Tensor":
    """``[N, tags, width]`` -> the same, having looked at ``image [N, tokens, D]``."""
    from torch.nn import functional

    attention, output = layer["crossattention"]["self"], layer["crossattention"]["output"]

    def split(tensor: "torch.Tensor") -> "torch.Tensor":
        parts: torch.Tensor = tensor.unflatten(-1, (heads, -1))
        return parts.transpose(1, 2)

    query, key, value = attention["query"](state), attention["key"](image), attention["value"](image)
    seen = functional.scaled_dot_product_attention(split(query), split(key), split(value)).transpose(1, 2).flatten(2)
    state = output["LayerNorm"](output["dense"](seen) + state)
    inner = functional.gelu(layer["intermediate"]["dense"](state))
    normed: torch.Tensor = layer["output"]["LayerNorm"](layer["output"]["dense"](inner) + state)
    return normed


def _module(entry: ModelEntry, tensors: "Mapping[str, torch.Tensor]") -> "torch.nn.Module":
    """Modules of the file's names and sizes."""
    import torch
    from torch import nn

    def linear(name: str) -> nn.Module:
        made, given = tensors[f"{name}.weight"].shape
        return nn.Linear(given, made)

    def norm(name: str) -> nn.Module:
        return nn.LayerNorm(len(tensors[f"{name}.weight"]), eps=BERT_EPSILON)

    def output(name: str) -> nn.Module:
        return nn.ModuleDict({"dense": linear(f"{name}.dense"), "LayerNorm": norm(f"{name}.LayerNorm")})

    def bert_layer(name: str) -> nn.Module:
        attention = {part: linear(f"{name}.crossattention.self.{part}") for part in ("query", "key", "value")}
        crossed = {"self": nn.ModuleDict(attention), "output": output(f"{name}.crossattention.output")}
        inner = nn.ModuleDict({"dense": linear(f"{name}.intermediate.dense")})
        return nn.ModuleDict(
            {"crossattention": nn.ModuleDict(crossed), "intermediate": inner, "output": output(f"{name}.output")}
        )

    head = "tagging_head.encoder.layer."
    numbers = {int(name.removeprefix(head).partition(".")[0]) for name in tensors if name.startswith(head)}
    layers = nn.ModuleList(bert_layer(f"{head}{number}") for number in sorted(numbers))
    texts, tags = tensors["label_embed"], _tag_count(entry)
    if len(texts) % tags:
        raise ModelError(
            f"model '{entry.name}': its file has {len(texts)} texts, which are not the same number for each of {tags} tags; "
            "correct `count`"
        )
    module = nn.Module()
    module.visual_encoder = _swin(entry)
    for name in ("image_proj", "wordvec_proj", "fc"):
        module.add_module(name, linear(name))
    module.label_embed = nn.Parameter(torch.empty_like(texts))
    module.reweight_scale = nn.Parameter(torch.empty([]))
    module.tagging_head = nn.ModuleDict({"encoder": nn.ModuleDict({"layer": layers})})
    return module


def _swin(entry: ModelEntry) -> "torch.nn.Module":
    import timm

    arguments = dict(entry.options.get("arguments", {}))
    architecture = str(entry.options.get("architecture", SWIN))
    try:
        module: torch.nn.Module = timm.create_model(architecture, pretrained=False, num_classes=0, **arguments)
    except RuntimeError as error:
        raise ModelError(f"model '{entry.name}': timm cannot make it: {error}") from error
    return module


def _tag_count(entry: ModelEntry) -> int:
    output = tags_output(entry)
    if output is None:
        raise ModelError(f"model '{entry.name}': RAM++ says tags; give it an output `kind: tags`")
    return output.count


def _preprocessing(entry: ModelEntry) -> Preprocessing:
    if entry.preprocessing is None or entry.preprocessing.input_shape is None:
        raise ModelError(
            f"model '{entry.name}': its file says nothing of its input; state `preprocessing` with a fixed size"
        )
    return entry.preprocessing


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """torchvision's transforms, timm's own reading of Swin, and the layers of BLIP, of which the published code is made."""
    import timm
    import torch
    from timm.models.swin_transformer import checkpoint_filter_fn
    from torch import nn
    from torchvision import transforms
    from transformers import BlipTextConfig
    from transformers.models.blip.modeling_blip_text import BlipTextAttention, BlipTextIntermediate, BlipTextOutput

    how, tensors = _preprocessing(entry), read_tensors(entry, folder / entry.file())

    def below(prefix: str) -> "dict[str, torch.Tensor]":
        return {name.removeprefix(prefix): t.float() for name, t in tensors.items() if name.startswith(prefix)}

    swin: Any = timm.create_model(
        entry.options.get("architecture", SWIN), num_classes=0, **entry.options.get("arguments", {})
    )
    swin.load_state_dict(checkpoint_filter_fn(below("visual_encoder."), swin))
    width, space = below("wordvec_proj.")["weight"].shape
    config = BlipTextConfig(
        hidden_size=width,
        encoder_hidden_size=space,
        num_attention_heads=int(entry.options.get("heads", HEADS)),
        intermediate_size=len(below("tagging_head.encoder.layer.0.intermediate.dense.")["bias"]),
        layer_norm_eps=BERT_EPSILON,
        hidden_act="gelu",
    )
    layers: list[Any] = []
    while state := below(f"tagging_head.encoder.layer.{len(layers)}."):
        parts = {"intermediate": BlipTextIntermediate(config), "output": BlipTextOutput(config)}
        layer = nn.ModuleDict({"crossattention": BlipTextAttention(config, is_cross_attention=True), **parts})
        layer.load_state_dict(state)
        layers.append(layer.eval())
    swin.eval()
    filtering = transforms.InterpolationMode(how.interpolation)
    transform = transforms.Compose(
        [
            transforms.Resize(how.height_width, filtering),
            transforms.ToTensor(),
            transforms.Normalize(how.mean, how.std),
        ]
    )
    texts = tensors["label_embed"].float().view(_tag_count(entry), -1, space)

    def projected(name: str, given: "torch.Tensor") -> "torch.Tensor":
        layer = below(f"{name}.")
        return nn.functional.linear(given, layer["weight"], layer["bias"])

    def run(picture: "Image") -> Outputs:
        with torch.inference_mode():
            seen = swin.forward_features(transform(picture)[None]).reshape(1, -1, swin.num_features)
            image = projected("image_proj", torch.cat([nn.functional.avg_pool1d(seen.mT, seen.shape[1]).mT, seen], 1))
            whole = image[0, 0]
            products = (texts @ (whole / whole.norm())) * tensors["reweight_scale"].float().exp()
            chosen = (products.softmax(dim=1)[..., None] * texts).sum(dim=1)
            state = nn.functional.relu(projected("wordvec_proj", chosen))[None]
            for layer in layers:
                attended, _ = layer["crossattention"](state, encoder_hidden_states=image)
                state = layer["output"](layer["intermediate"](attended), attended)
            return {"logits": projected("fc", state)[..., 0].numpy(), "embedding": image[:, 0].numpy()}

    return run
