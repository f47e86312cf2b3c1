"""ostris/ai-toolkit: pictures or clips, YAML."""

from math import ceil, sqrt

import yaml

from arot_assets.exports.buckets.ai_toolkit import AiToolkit
from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Part, Scene, Trainer


def _resolution(declaration: ExportDeclaration, medium: str) -> int:
    if medium == "video":  # it never scales up, so any edge that the size fits in leaves it alone
        return ceil(sqrt(declaration.video_size[0] * declaration.video_size[1]))
    return declaration.resolution


def _beside(scene: Scene, part: Part) -> dict[str, str]:
    """Its folders of masks and controls; several controls are numbered from 1."""
    folders = scene.beside(part)
    if "control_2" not in folders:
        return {f"{role}_path": folder for role, folder in folders.items()}
    mask = {"mask_path": folders.pop("mask")} if "mask" in folders else {}
    return mask | {f"control_path_{n}": folder for n, folder in enumerate(folders.values(), 1)}


def _config(scene: Scene) -> tuple[str, str]:
    declaration = scene.declaration
    datasets = []
    for part in scene.parts:
        values: dict[str, object] = {
            "folder_path": scene.folder(part),
            "caption_ext": "txt",
            "resolution": [_resolution(declaration, scene.medium)],
            "num_repeats": part.repeats,
            "buckets": True,
            "cache_latents_to_disk": True,
            **_beside(scene, part),
        }
        if scene.video:  # spread over a longer clip, motion would get faster
            values |= {
                "num_frames": declaration.frames[-1],
                "fps": declaration.fps,
                "shrink_video_to_frames": False,
            }
        datasets.append(values)
    train = {
        "batch_size": declaration.batch_size,
        "gradient_accumulation_steps": declaration.gradient_accumulation,
    }
    process = {"type": "sd_trainer", "training_folder": "output", "datasets": datasets, "train": train}
    whole = {"job": "extension", "config": {"name": declaration.name, "process": [process]}}
    return "ai_toolkit.yaml", yaml.safe_dump(whole, sort_keys=False, allow_unicode=True)


def _command(scene: Scene) -> str:
    return f"python run.py {scene.root}/configs/ai_toolkit.yaml  # after adding `model`, `network` and `save` to it"


def _rule(declaration: ExportDeclaration, medium: str) -> Rule:
    frames = declaration.frames[-1] if medium == "video" else 1
    return AiToolkit(_resolution(declaration, medium), 32, frames)


TRAINER = Trainer(
    name="ai-toolkit",
    title="ostris/ai-toolkit",
    media=frozenset({"image", "video"}),
    layouts=frozenset({"pairs"}),
    remainder="padded",
    config=_config,
    command=_command,
    rule=_rule,
    companions={"image": frozenset({"mask", "control", "control_2", "control_3"}), "video": frozenset({"control"})},
    missing_caption="it trains the sample with an empty caption without a word",
)
