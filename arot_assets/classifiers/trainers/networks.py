"""The networks that a backbone is trained from: a module with a new classifier, what it sees of an image, its layers in order.

Belongs here: timm and transformers behind one class. Does not belong here: training (``backbone.py``), scoring (the families).

What the module sees is made by the very function that scoring uses: the family's ``prepare``.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.classifiers.recipes import BackboneSettings
from arot_assets.classifiers.tasks import Task
from arot_assets.classifiers.trainers import ModelFiles, TrainingError
from resources.models.entry import ModelEntry, ModelError

if TYPE_CHECKING:
    import torch

HEAD_SCALE = 0.001
"""Of the new classifier's initial weights, as in ConvNeXt's fine-tuning: its first logits are nearly equal."""


@dataclass(frozen=True)
class Base:
    """What a training starts from.

    Attributes:
        entry: of the model catalogue.
        folder: its files, verified.
        device: of torch, or ``auto``.
    """

    entry: ModelEntry
    folder: Path
    device: str = "cpu"


@dataclass(frozen=True)
class Trainable:
    """A module that can be trained.

    Attributes:
        module: with a new classifier of ``task.width`` outputs.
        prepare: pixels -> one input, as scoring does it.
        forward: module and inputs -> logits.
        classifier: its last linear layer.
        depth: the name of a parameter -> the number of its layer, 0 at the image.
        layers: how many there are; the classifier is the last.
        save: writes the module's files and says how they are loaded.
    """

    module: "torch.nn.Module"
    prepare: Callable[[NDArray[np.uint8]], NDArray[Any]]
    forward: "Callable[[Any, torch.Tensor], torch.Tensor]"
    classifier: "torch.nn.Linear"
    depth: Callable[[str], int]
    layers: int
    save: Callable[[Path], ModelFiles]


def trainable(base: Base, task: Task, settings: BackboneSettings) -> Trainable:
    """A module with the weights of a base and a new classifier.

    Raises:
        TrainingError: it is of no family that can be trained.
    """
    import torch

    torch.manual_seed(settings.seed)
    makers = {
        "timm": _timm,
        "transformers_image": _transformers,
        "transformers_vision": _transformers,
        "clip": _transformers,
    }
    maker = makers.get(base.entry.family)
    if maker is None:
        raise TrainingError(
            f"model '{base.entry.name}' is of the family {base.entry.family}; a backbone can be trained that is of: "
            f"{', '.join(makers)}"
        )
    found = maker(base, task, settings)
    with torch.no_grad():
        found.classifier.weight.mul_(HEAD_SCALE)
        found.classifier.bias.zero_()
    return found


def _timm(base: Base, task: Task, settings: BackboneSettings) -> Trainable:
    import timm
    from timm.models import group_parameters, save_for_hf

    from resources.models.families.timm import published
    from resources.models.preprocessing import preprocess
    from resources.models.torch_network import read_tensors

    entry, folder = base.entry, base.folder
    arguments = {**dict(entry.options.get("arguments", {})), "num_classes": task.width}
    if settings.drop_path:
        arguments["drop_path_rate"] = settings.drop_path
    own = json.loads((folder / entry.file("config.json")).read_text()) if not entry.options.get("architecture") else {}
    architecture = str(entry.options.get("architecture") or own["architecture"])
    arguments = {**own.get("model_args", {}), **arguments}
    module: Any = timm.create_model(architecture, pretrained=False, **arguments)
    tensors = read_tensors(entry, folder / entry.file())
    if entry.options.get("tensor_names") == "efficientnet_pytorch":
        from resources.models.families.timm import timm_name

        tensors = {timm_name(n, tensors, [len(s) for s in module.blocks]): t for n, t in tensors.items()}
    _load_all_but_classifier(module, tensors, module.get_classifier(), entry.name)
    config: dict[str, Any] = {**module.pretrained_cfg, **own.get("pretrained_cfg", {})}
    how = entry.preprocessing or published(_data_config(config), entry)
    groups = group_parameters(module, module.group_matcher(coarse=False), reverse=True)
    layers = max(groups.values()) + 1

    def save(target: Path) -> ModelFiles:
        kept = {
            "input_size": [3, *how.height_width],
            "interpolation": how.interpolation,
            "mean": list(how.mean),
            "std": list(how.std),
            "crop_pct": how.crop,
            "crop_mode": "squash" if how.resize == "squash" else "center",
            "label_names": list(task.classes) or ["score"],
        }
        made = {k: v for k, v in arguments.items() if k not in ("num_classes", "drop_path_rate")}
        save_for_hf(
            module,
            str(target),
            model_config={
                "num_classes": task.width,
                "pretrained_cfg": {**kept, "num_classes": task.width},
                **({"label_names": list(task.classes)} if task.kind in ("classification", "multi_label") else {}),
            },
            model_args=made or None,
            safe_serialization=True,
        )
        return ModelFiles("timm", ("config.json", "model.safetensors"), _size(module), preprocessing=how)

    return Trainable(
        module,
        lambda rgb: preprocess(rgb, how),
        lambda model, batch: model(batch),
        module.get_classifier(),
        lambda name: groups[name],
        layers,
        save,
    )


def _data_config(config: dict[str, Any]) -> dict[str, Any]:
    from timm.data import resolve_data_config

    return dict(resolve_data_config(pretrained_cfg=config))


def _transformers(base: Base, task: Task, settings: BackboneSettings) -> Trainable:
    from transformers import AutoConfig, AutoModelForImageClassification

    from resources.models.transformers_files import processed, processor_of

    entry, folder = base.entry, base.folder
    if entry.trust_remote_code:
        raise ModelError(
            f"model '{entry.name}': {entry.runs}, which is not fine-tuned: the result would need that code too"
        )
    names = list(task.classes[: task.width]) if task.kind != "regression" else ["score"]
    labels = dict(enumerate(names))
    problems = {"classification": "single_label_classification", "regression": "regression"}
    config = AutoConfig.from_pretrained(folder)
    said = {"num_labels": task.width, "id2label": labels, "label2id": {v: k for k, v in labels.items()}}
    said["problem_type"] = problems.get(task.kind, "multi_label_classification")
    for name, value in said.items():
        setattr(config, name, value)
    if settings.drop_path and hasattr(config, "drop_path_rate"):
        config.drop_path_rate = settings.drop_path
    module = AutoModelForImageClassification.from_pretrained(folder, config=config, ignore_mismatched_sizes=True)
    processor = processor_of(entry, folder)
    found = [name for name, _ in module.named_parameters()]
    depths = _depths(found)

    def save(target: Path) -> ModelFiles:
        module.save_pretrained(target)
        processor.save_pretrained(target)
        return ModelFiles(
            "transformers_image", ("config.json", "model.safetensors", "preprocessor_config.json"), _size(module)
        )

    return Trainable(
        module,
        lambda rgb: processed(processor, rgb),
        lambda model, batch: model(pixel_values=batch).logits,
        module.classifier,
        lambda name: depths[name],
        max(depths.values()) + 1,
        save,
    )


def _depths(names: list[str]) -> dict[str, int]:
    """The layer of each parameter of a transformers model: embeddings, the blocks in order, what comes after, the classifier.

    Blocks are told by the numbers in names: ``encoder.layer.3.…``, ``encoder.stages.2.layers.1.…``.
    """
    blocks: dict[str, tuple[int, ...]] = {
        name: tuple(int(part) for part in name.split(".") if part.isdigit())[:2]
        for name in names
        if not name.startswith("classifier") and any(word in name for word in ("layer", "stages", "blocks"))
    }
    # a layer norm after the blocks has no number before its own name
    blocks = {name: key for name, key in blocks.items() if key}
    order = {key: k + 1 for k, key in enumerate(sorted(set(blocks.values())))}
    last = len(order)
    found: dict[str, int] = {}
    for name in names:
        if name.startswith("classifier"):
            found[name] = last + 2
        elif name in blocks:
            found[name] = order[blocks[name]]
        else:
            found[name] = 0 if "embed" in name else last + 1
    return found


def _load_all_but_classifier(module: Any, tensors: Any, classifier: Any, name: str) -> None:
    """Load a base's tensors; only the classifier may differ.

    Raises:
        TrainingError: others are missing or of another shape.
    """
    own = module.state_dict()
    new = {n for n, p in module.named_parameters() if any(p is q for q in classifier.parameters())}
    wrong = [n for n in own if n not in new and (n not in tensors or tensors[n].shape != own[n].shape)]
    if wrong:
        raise TrainingError(f"model '{name}': its weights do not fit: {', '.join(wrong[:5])}")
    module.load_state_dict({n: own[n] if n in new else tensors[n] for n in own})


def _size(module: Any) -> int:
    return sum(p.numel() for p in module.parameters())
