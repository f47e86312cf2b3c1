"""Nerogar/OneTrainer: pictures, a JSON list of concepts."""

from collections.abc import Iterator, Mapping, Sequence

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.onetrainer import OneTrainer
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layout import Sample
from arot_assets.exports.trainers.trainer import Arranged, Scene, Trainer, json_text

OWN = "onetrainer"
LABELS = {"mask": "-masklabel", "control": "-condlabel"}


def _config(scene: Scene) -> tuple[str, str]:
    concepts = [
        {
            "name": part.subset,
            "path": f"{scene.root}/{OWN}/{part.folder}" if scene.declaration.companions else scene.folder(part),
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


def _arrange(scene: Scene, samples: Mapping[str, Sequence[Sample]]) -> Iterator[Arranged]:
    """It looks for masks and controls among the pictures, where others would take them for pictures: a folder of links for it."""
    if not scene.declaration.companions:
        return
    for part, some in samples.items():
        for sample in some:
            place = f"{OWN}/{part}"
            yield Arranged(f"{place}/{sample.file}", sample.path)
            yield Arranged(f"{place}/{sample.sample_id}.txt", text=sample.caption)
            for role, path in sample.companions.items():
                yield Arranged(f"{place}/{sample.sample_id}{LABELS[role]}.png", path, png=True)


def _command(scene: Scene) -> str:
    masked = ', "masked_training": true' if scene.declaration.mask else ""
    masked += ', "custom_conditioning_image": true' if scene.declaration.control else ""
    return (
        f'python scripts/train.py --config-path CONFIG.json  # with "concept_file_name": '
        f'"{scene.root}/configs/onetrainer_concepts.json", "resolution": "{scene.declaration.resolution}", '
        f'"aspect_ratio_bucketing": true{masked}'
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
    arrange=_arrange,
    companions={"image": frozenset({"mask", "control"})},
    missing_caption="it trains the picture with an empty caption without a word",
)
