"""bghira/SimpleTuner: pictures or clips, a JSON list of data backends."""

from math import sqrt

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.simpletuner import SimpleTuner
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Scene, Trainer, json_text

ALIGN = 64


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
        backends.append(values)
    texts = {
        "id": "text",
        "type": "local",
        "dataset_type": "text_embeds",
        "default": True,
        "cache_dir": f"{scene.root}/cache/simpletuner-text",
    }
    return "simpletuner_multidatabackend.json", json_text([*backends, texts])


def _command(scene: Scene) -> str:
    return (
        "simpletuner train --data_backend_config "
        f"{scene.root}/configs/simpletuner_multidatabackend.json --train_batch_size {scene.declaration.batch_size}"
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
    missing_caption="it stops",
)
