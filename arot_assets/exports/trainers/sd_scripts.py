"""kohya-ss/sd-scripts: pictures, TOML."""

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.sd_scripts import SdScripts
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Scene, Trainer, toml


def _largest(declaration: ExportDeclaration) -> int:
    """At the default of 1024, wide pictures of a 1024 training would be squeezed to 1024."""
    return 2 * declaration.resolution


def _config(scene: Scene) -> tuple[str, str]:
    declaration = scene.declaration
    metadata = declaration.layout == "kohya_jsonl"
    # an own caption extension is its default, with which it silently trains without captions
    text = "[general]\n" + toml({"caption_extension": ".txt"}) + "\n[[datasets]]\n"
    text += toml(
        {
            "resolution": [declaration.resolution] * 2,
            "batch_size": declaration.batch_size,
            "enable_bucket": True,
            "min_bucket_reso": 256,
            "max_bucket_reso": _largest(declaration),
            "bucket_reso_steps": 64,
            "bucket_no_upscale": False,
        }
    )
    for part in scene.parts:
        where = {"metadata_file": f"{scene.root}/{part.folder}.jsonl"} if metadata else {}
        # a mask is found where ControlNet's pictures are; --masked_loss makes the difference
        for folder in scene.beside(part).values():
            where["conditioning_data_dir"] = folder
        values = {"image_dir": scene.folder(part), **where, "num_repeats": part.repeats}
        text += "\n  [[datasets.subsets]]\n" + toml(values, "  ")
    return "kohya.toml", text


def _command(scene: Scene) -> str:
    if scene.declaration.control:
        return (
            "accelerate launch sdxl_train_control_net_lllite.py --pretrained_model_name_or_path MODEL.safetensors "
            f"--dataset_config {scene.root}/configs/kohya.toml --output_dir OUTPUT"
        )
    masked = " --masked_loss" if scene.declaration.mask else ""
    return (
        "accelerate launch sdxl_train_network.py --pretrained_model_name_or_path MODEL.safetensors "
        f"--dataset_config {scene.root}/configs/kohya.toml --network_module networks.lora --output_dir OUTPUT "
        f"--gradient_accumulation_steps {scene.declaration.gradient_accumulation}{masked}"
    )


def _rule(declaration: ExportDeclaration, _medium: str) -> Rule:
    side = declaration.resolution
    return SdScripts(side, side, largest=_largest(declaration))


TRAINER = Trainer(
    name="sd-scripts",
    title="kohya-ss/sd-scripts",
    media=frozenset({"image"}),
    layouts=frozenset({"pairs", "kohya_jsonl"}),
    remainder="kept",
    config=_config,
    command=_command,
    rule=_rule,
    companions={"image": frozenset({"mask", "control"})},
    one_companion=True,
    missing_caption="it trains the picture with an empty caption, and warns",
)
