"""bghira/SimpleTuner: pictures or clips, a JSON list of data backends."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.simpletuner import SimpleTuner
from arot_assets.exports.companions import companion_folder
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layout import Sample
from arot_assets.exports.trainers.trainer import Arranged, Part, Scene, Trainer, json_text

ALIGN = 64
OWN = "simpletuner"


def _resolution(declaration: ExportDeclaration, medium: str) -> int:
    """In pixel_area an edge; for clips the multiple of 64 that the bucket is computed from."""
    if medium == "video":
        return round(sqrt(declaration.video_size[0] * declaration.video_size[1]) / ALIGN) * ALIGN
    return declaration.resolution


def _config(scene: Scene) -> tuple[str, str]:
    declaration = scene.declaration
    backends: list[dict[str, object]] = []
    for part in scene.parts:
        # never delete_unwanted_images or delete_problematic_images: they delete the files of an export
        values: dict[str, object] = {
            "id": f"{declaration.name}-{part.subset}",
            "type": "local",
            "dataset_type": scene.medium,
            "instance_data_dir": scene.folder(part),
            "caption_strategy": "textfile",
            "metadata_backend": "discovery",
            "resolution": _resolution(declaration, scene.medium),
            "resolution_type": "pixel_area",
            "crop": True,
            "crop_aspect": "preserve",
            "crop_style": "center",
            "minimum_image_size": 0,
            "repeats": part.repeats - 1,  # 0 is seen once
            "cache_dir_vae": scene.cache("simpletuner", part),
        }
        if declaration.layout == "simpletuner_parquet":
            values |= {
                "caption_strategy": "parquet",
                "metadata_backend": "parquet",
                "parquet": {
                    "path": f"{scene.root}/{part.folder}.parquet",
                    "filename_column": "filename",
                    "caption_column": "caption",
                    "width_column": "width",
                    "height_column": "height",
                    "identifier_includes_extension": True,
                },
            }
        if scene.video:
            count = declaration.frames[-1]
            values["video"] = {"num_frames": count, "min_frames": count}
        beside = _conditioning(scene, part, values)
        if beside:
            values["conditioning_data"] = [one["id"] for one in beside]
        backends += [values, *beside]
    texts = {
        "id": "text",
        "type": "local",
        "dataset_type": "text_embeds",
        "default": True,
        "cache_dir": f"{scene.root}/cache/simpletuner-text",
    }
    return "simpletuner_multidatabackend.json", json_text([*backends, texts])


def _conditioning(scene: Scene, part: Part, values: Mapping[str, object]) -> list[dict[str, object]]:
    """A backend for each companion: of the sizes and crops of the samples, and with their captions."""
    same = {name: value for name, value in values.items() if name != "parquet"}
    loose = scene.declaration.action("companion_shape") == "keep"
    found: list[dict[str, object]] = []
    for role in scene.declaration.companions:
        kind = "mask" if role == "mask" else "reference_loose" if loose else "reference_strict"
        own = {
            "id": f"{values['id']}-{role}",
            "dataset_type": "conditioning",
            "conditioning_type": kind,
            "source_dataset_id": values["id"],
            "instance_data_dir": f"{scene.root}/{OWN}/{companion_folder(role, part.folder)}",
            "caption_strategy": None,
            "metadata_backend": "discovery",
            "cache_dir_vae": f"{values['cache_dir_vae']}-{role}",
        }
        found.append({**same, **own})
    return found


def _arrange(scene: Scene, samples: Mapping[str, Sequence[Sample]]) -> Iterator[Arranged]:
    """It looks for a companion by the whole name of its sample's file, and knows its format by its bytes: links for it."""
    for role in scene.declaration.companions:
        for part, some in samples.items():
            place = f"{OWN}/{companion_folder(role, part)}"
            for sample in some:
                yield Arranged(f"{place}/{sample.file}", sample.companions[role])


def _command(scene: Scene) -> str:
    beside = " --conditioning_multidataset_sampling combined" if len(scene.declaration.companions) > 1 else ""
    note = "  # for ControlNet: --controlnet, and conditioning_type controlnet" if scene.declaration.control else ""
    return (
        "simpletuner train --data_backend_config "
        f"{scene.root}/configs/simpletuner_multidatabackend.json --train_batch_size {scene.declaration.batch_size}{beside}{note}"
    )


def _rule(declaration: ExportDeclaration, medium: str) -> Rule:
    frames = declaration.frames[-1] if medium == "video" else 0
    return SimpleTuner(_resolution(declaration, medium), ALIGN, frames, frames)


TRAINER = Trainer(
    name="simpletuner",
    title="bghira/SimpleTuner",
    media=frozenset({"image", "video"}),
    layouts=frozenset({"pairs", "simpletuner_parquet"}),
    remainder="refused",
    config=_config,
    command=_command,
    rule=_rule,
    arrange=_arrange,
    companions={"image": frozenset({"mask", "control", "control_2", "control_3"}), "video": frozenset({"control"})},
    missing_caption="it stops",
)
