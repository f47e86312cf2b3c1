"""huggingface/diffusers' training scripts: pictures, all from the command line."""

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.diffusers import Diffusers, DiffusersSquare
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Scene, Trainer


def _command(scene: Scene) -> str:
    declaration = scene.declaration
    if declaration.control:
        return (
            f"accelerate launch examples/controlnet/train_controlnet.py --train_data_dir {scene.root} --image_column image "
            f"--conditioning_image_column control --caption_column text --resolution {declaration.resolution} "
            f"--train_batch_size {declaration.batch_size} …"
        )
    if declaration.media == "exact":
        sizes = ";".join(f"{h},{w}" for w, h in scene.sizes())
        return (
            f"accelerate launch examples/dreambooth/train_dreambooth_lora_flux2.py --dataset_name {scene.root} "
            f'--caption_column text --resolution {declaration.resolution} --aspect_ratio_buckets "{sizes}" '
            f"--train_batch_size {declaration.batch_size} …"
        )
    return (
        f"accelerate launch examples/text_to_image/train_text_to_image_lora.py --train_data_dir {scene.root} "
        f"--image_column image --caption_column text --resolution {declaration.resolution} "
        f"--train_batch_size {declaration.batch_size} …"
    )


def _rule(declaration: ExportDeclaration, medium: str) -> Rule:
    if declaration.media == "exact" and not declaration.control:
        return Diffusers(declaration.resolution, tuple(Scene(declaration, "", medium, ()).sizes()))
    return DiffusersSquare(declaration.resolution)


TRAINER = Trainer(
    name="diffusers",
    title="huggingface/diffusers",
    media=frozenset({"image"}),
    layouts=frozenset({"hf"}),
    remainder="dropped",
    repeats=False,
    config=lambda _scene: None,
    command=_command,
    rule=_rule,
    companions={"image": frozenset({"control"})},
    missing_caption="it stops, or trains an empty caption",
)
