"""Small, randomly initialised models in the exact layout of real repositories, to be published on the loopback Hub.

Belongs here: writing one model's files into a folder. Does not belong here: the Hub, and what is tested with them.
"""

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path


def timm_tagger(folder: Path) -> None:
    """A WD tagger: a ViT of timm without class token, and the list of its tags."""
    import timm
    import torch

    torch.manual_seed(0)
    arguments = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
    arguments |= {"class_token": False, "global_pool": "avg", "fc_norm": False}
    model = timm.create_model("vit_base_patch16_224", num_classes=12, **arguments)
    half = [0.5, 0.5, 0.5]
    config = {"input_size": [3, 32, 32], "interpolation": "bicubic", "mean": half, "std": half, "crop_pct": 1.0}
    from timm.models import save_for_hf

    save_for_hf(
        model,
        folder,
        model_config={"num_classes": 12, "pretrained_cfg": config},
        model_args=arguments,
        safe_serialization=True,
    )
    wd_tags(folder)


def wd_tags(folder: Path) -> None:
    """``selected_tags.csv`` as the WD taggers have it: the ratings first, then general tags, then characters."""
    ratings = ["9999999,general,9,1589178", "9999998,sensitive,9,3994361", "9999997,questionable,9,892496"]
    general = [
        "470575,1girl,0,4225150",
        "212816,solo,0,3515897",
        "13197,long_hair,0,2982517",
        '3,"a,b_(c)",0,7',
        "4,^_^,0,5",
    ]
    characters = ["439789,hatsune_miku,4,81190", '5,"artoria_pendragon_(fate)",4,3', "6,x,4,2", "7,y,4,1"]
    lines = ["tag_id,name,category,count", *ratings, *general, *characters]
    (folder / "selected_tags.csv").write_text("\n".join(lines) + "\n")


def vit_classifier(folder: Path) -> None:
    """A ViT classifier of transformers with three labels, and its image processor."""
    import torch
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=37,
        image_size=32,
        patch_size=8,
        id2label={0: "low", 1: "middle", 2: "high"},
        label2id={"low": 0, "middle": 1, "high": 2},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def clip(folder: Path) -> None:
    """CLIP of transformers: both towers and the processor of OpenAI's models."""
    import torch
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel

    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = CLIPConfig(
        text_config=small | {"vocab_size": 99, "max_position_embeddings": 77},
        vision_config=small | {"image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}).save_pretrained(folder)


def open_clip(folder: Path, quick_gelu: bool = False) -> None:
    """A model of open_clip with its ``open_clip_config.json``."""
    import open_clip as library
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    vision = {"image_size": 32, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
    config = {"embed_dim": 16, "quick_gelu": quick_gelu, "vision_cfg": vision, "text_cfg": text}
    model = library.CLIP(**config)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    means = {"mean": [0.48145466, 0.4578275, 0.40821073], "std": [0.26862954, 0.26130258, 0.27577711]}
    preprocess = {**means, "interpolation": "bicubic", "resize_mode": "shortest"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))


def depth_anything(folder: Path) -> None:
    """Depth Anything: a DINOv2 backbone, and the processor that keeps the aspect in multiples of 14."""
    import torch
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config, DPTImageProcessor

    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=37,
        image_size=42,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 16, 16, 16],
        fusion_hidden_size=16,
        head_hidden_size=8,
        patch_size=14,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessor(size={"height": 42, "width": 42}, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(
        folder
    )


def onnx_scorer(folder: Path) -> None:
    """An ONNX file that takes NHWC levels of 0-255: the mean of blue, green and red, and its sigmoid's logits."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weight = numpy_helper.from_array(np.array([[0.01], [0.0], [-0.01]], np.float32), "w")
    nodes = [
        helper.make_node("ReduceMean", ["input", "axes"], ["mean"], keepdims=0),
        helper.make_node("MatMul", ["mean", "w"], ["logits"]),
    ]
    axes = numpy_helper.from_array(np.array([1, 2], np.int64), "axes")
    given = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 16, 16, 3])
    made = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 1])
    graph = helper.make_graph(nodes, "scorer", [given], [made], [weight, axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")


def pixel_reader(
    folder: Path, side: int, layout: str, outputs: Mapping[str, str], file: str = "model.onnx", count: int = 12
) -> None:
    """An ONNX file whose outputs are its input's first channel at some places: what a model is given can be seen in what it gives.

    Args:
        folder: where it is written.
        side: of its square input.
        layout: ``NCHW`` or ``NHWC``.
        outputs: name -> ``Sigmoid``, ``Softmax``, ``Neg`` or ``Identity``, applied to the values.
        file: its path below the folder.
        count: of the places, 12 at most.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    shape = [3, side, side] if layout == "NCHW" else [side, side, 3]
    across, down = places(side)
    starts, ends = ([0, down, across], [1, down + 1, across + count])
    if layout == "NHWC":
        starts, ends = [down, across, 0], [down + 1, across + count, 1]
    constants = {"starts": starts, "ends": ends, "axes": [1, 2, 3], "flat": [-1, count]}
    nodes = [helper.make_node("Slice", ["input", "starts", "ends", "axes"], ["cut"])]
    nodes.append(helper.make_node("Reshape", ["cut", "flat"], ["values"]))
    nodes += [helper.make_node(how, ["values"], [name]) for name, how in outputs.items()]
    graph = helper.make_graph(
        nodes,
        "pixels",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", *shape])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", count]) for name in outputs],
        [numpy_helper.from_array(np.array(v, np.int64), k) for k, v in constants.items()],
    )
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / file)


def places(side: int) -> tuple[int, int]:
    """Where ``pixel_reader`` looks: x of the first of 12 places, and their y."""
    return side // 2 - 6, side // 2


def siglip(folder: Path) -> None:
    """SigLIP or SigLIP 2 with fixed sizes: both towers, and the processor that squashes."""
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel

    torch.manual_seed(0)
    small = {"hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config=small | {"vocab_size": 99, "max_position_embeddings": 64},
        vision_config=small | {"image_size": 32, "patch_size": 8},
    )
    SiglipModel(config).save_pretrained(folder)
    SiglipImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def dinov2(folder: Path) -> None:
    """DINOv2 as timm publishes it: no classifier, bicubic, whole centre crop."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(0)
    arguments = {"img_size": 56, "embed_dim": 32, "depth": 2, "num_heads": 2}
    model = timm.create_model("vit_small_patch14_dinov2", num_classes=0, **arguments)
    config = {"input_size": [3, 56, 56], "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "center"}
    config |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    told = {"num_classes": 0, "pretrained_cfg": config}
    save_for_hf(model, folder, model_config=told, model_args=arguments, safe_serialization=True)


def dpt(folder: Path) -> None:
    """DPT with a plain ViT, as MiDaS publishes its larger ones: squashed, no aspect kept."""
    import torch
    from transformers import DPTConfig, DPTForDepthEstimation, DPTImageProcessor

    torch.manual_seed(0)
    config = DPTConfig(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=37,
        image_size=32,
        patch_size=8,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 16, 16, 16],
        fusion_hidden_size=16,
    )
    DPTForDepthEstimation(config).save_pretrained(folder)
    DPTImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)


def watermark_detector(folder: Path) -> None:
    """The tensors of LAION's watermark detector: an EfficientNet, its classifier a stack whose first class is always sure."""
    import timm
    import torch
    from torch import nn

    torch.manual_seed(0)
    model = timm.create_model("test_efficientnet", num_classes=2)
    wide = model.num_features
    model.classifier = nn.Sequential(
        nn.Linear(wide, 625), nn.ReLU(), nn.Dropout(0.3), nn.Linear(625, 256), nn.ReLU(), nn.Linear(256, 2)
    )
    model.classifier[5].bias.data = torch.tensor([5.0, -5.0])
    torch.save(model.state_dict(), folder / "watermark_model_v1.pt")


def linear_head(folder: Path, file: str, widths: list[int], prefix: str) -> None:
    """A head in the layout of LAION's and SigLIP's aesthetic predictors: linear layers, and dropout without tensors between."""
    import torch

    torch.manual_seed(0)
    state = {}
    for number, (given, made) in enumerate(pairwise(widths)):
        state[f"{prefix}{2 * number}.weight"] = torch.randn(made, given) / given**0.5
        state[f"{prefix}{2 * number}.bias"] = torch.randn(made)
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / file)


def timm_convnext(folder: Path) -> None:
    """A ConvNeXt of timm in its published layout, very small."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(0)
    arguments = {"depths": [1, 1, 2, 1], "dims": [8, 16, 24, 32]}
    model = timm.create_model("convnext_atto", num_classes=7, **arguments)
    config = {"input_size": [3, 64, 64], "interpolation": "bicubic", "crop_pct": 1.0, "crop_mode": "squash"}
    config |= {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    save_for_hf(
        model,
        folder,
        model_config={"num_classes": 7, "pretrained_cfg": config},
        model_args=arguments,
        safe_serialization=True,
    )


def bare_dinov2(folder: Path) -> None:
    """A bare DINOv2 of transformers, as its repositories are: no classifier."""
    import torch
    from transformers import BitImageProcessor, Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "image_size": 28, "patch_size": 14}
    Dinov2Model(Dinov2Config(**small)).save_pretrained(folder)
    BitImageProcessor(size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}).save_pretrained(folder)


def detector(folder: Path) -> None:
    """An ONNX file in the layout of YOLOv8 with two labels on a canvas of 64: two boxes that overlap, and one that does not.

    The places do not depend on the image: the left half of the canvas, nearly the same, and its lower right quarter.
    """
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    boxes = np.array([[16, 32, 32, 64], [17, 32, 32, 64], [48, 48, 32, 32]], np.float32)
    scores = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.6]], np.float32)
    constants = {
        "axes": np.array([1, 2, 3], np.int64),
        "flat": np.array([-1, 1, 1], np.int64),
        "zero": np.zeros(1, np.float32),
        "found": np.concatenate([boxes, scores], axis=1).T[None],
    }
    nodes = [
        helper.make_node("ReduceMean", ["images", "axes"], ["mean"], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "flat"], ["each"]),
        helper.make_node("Add", ["each", "found"], ["output0"]),
    ]
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, 64, 64])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["N", 6, 3])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), folder / "model.onnx"
    )


RAM = {
    "architecture": "swin_large_patch4_window12_384",
    "arguments": {"img_size": 64, "window_size": 4, "embed_dim": 8, "depths": [2, 2, 2, 2], "num_heads": [1, 2, 4, 8]},
    "heads": 4,
}
"""``options`` of ``ram_plus``."""


def ram_plus(folder: Path, tags: int = 6, texts: int = 3) -> None:
    """RAM++ in the layout of ``ram_plus_swin_large_14m.pth``: ``model``, in the naming of Microsoft's Swin, and its buffers.

    The numbers follow from the names alone, so that what the published code made of them can be written down.
    """
    import numpy as np
    import timm
    import torch

    swin = timm.create_model(RAM["architecture"], num_classes=0, **RAM["arguments"])
    shapes = {}
    for name, tensor in swin.state_dict().items():
        layer, _, rest = name.removeprefix("layers.").partition(".")
        before = f"layers.{int(layer) - 1}.{rest}" if rest.startswith("downsample") else name
        shapes[f"visual_encoder.{before}"] = tuple(tensor.shape)
    wide, space, seen = 16, 12, swin.num_features
    linears = {"image_proj": (space, seen), "wordvec_proj": (wide, space), "fc": (1, wide)}
    norms = []
    for layer in ("tagging_head.encoder.layer.0", "tagging_head.encoder.layer.1"):
        linears |= {f"{layer}.crossattention.self.{part}": (wide, space) for part in ("key", "value")}
        linears |= {f"{layer}.crossattention.{part}": (wide, wide) for part in ("self.query", "output.dense")}
        linears |= {f"{layer}.intermediate.dense": (24, wide), f"{layer}.output.dense": (wide, 24)}
        norms += [f"{layer}.crossattention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (wide,), f"{name}.bias": (wide,)}
    shapes |= {"label_embed": (tags * texts, space), "reweight_scale": ()}
    state = {}
    for number, name in enumerate(sorted(shapes)):
        shape = shapes[name]
        uniform = np.sin(np.arange(int(np.prod(shape))) * 12.9898 + number * 78.233) * 43758.5453 % 1 - 0.5
        if "norm" in name.lower():
            values = 1 + uniform if name.endswith("weight") else uniform
        else:
            values = uniform * 4 / np.prod(shape[1:]) ** 0.5 if len(shape) > 1 else uniform
        state[name] = torch.from_numpy(values.reshape(shape)).float()
    state["visual_encoder.layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.long)
    torch.save({"model": state, "epoch": 1}, folder / "ram_plus_swin_large_14m.pth")
