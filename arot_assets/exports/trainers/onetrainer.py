"""Nerogar/OneTrainer: pictures, a JSON list of concepts."""

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.onetrainer import OneTrainer
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Scene, Trainer, json_text


def _config(scene: Scene) -> tuple[str, str]:
    concepts = [
        {
            "name": part.subset,
            "path": scene.folder(part),
            "enabled": True,
            "include_subdirectories": False,
            "balancing": float(part.repeats),
            "balancing_strategy": "REPEATS",
            "image": {"enable_crop_jitter": False},
            "text": {"prompt_source": "sample"},
        }
        for part in scene.parts
    ]
    return "onetrainer_concepts.json", json_text(concepts)


def _command(scene: Scene) -> str:
    return (
        f'python scripts/train.py --config-path CONFIG.json  # with "concept_file_name": '
        f'"{scene.root}/configs/onetrainer_concepts.json", "resolution": "{scene.declaration.resolution}", '
        '"aspect_ratio_bucketing": true'
    )


def _rule(declaration: ExportDeclaration, _medium: str) -> Rule:
    return OneTrainer(declaration.resolution)


TRAINER = Trainer(
    name="onetrainer",
    title="Nerogar/OneTrainer",
    media=frozenset({"image"}),
    layouts=frozenset({"pairs"}),
    remainder="dropped",
    config=_config,
    command=_command,
    rule=_rule,
    missing_caption="it trains the picture with an empty caption without a word",
)
