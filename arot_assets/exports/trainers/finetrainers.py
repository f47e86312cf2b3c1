"""a-r-r-o-w/finetrainers: pictures or clips, JSON."""

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.finetrainers import Finetrainers
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Scene, Trainer, json_text


def _config(scene: Scene) -> tuple[str, str]:
    # an absolute path: it asks the Hub about "a/b" first; it has no repeats
    whole = scene.declaration.layout == "hf"  # one index of all parts
    folders = [scene.root] if whole else [scene.folder(part) for part in scene.parts]
    if scene.video:
        sizes = [[f, h, w] for f in scene.declaration.frames for w, h in scene.sizes()]
        how: dict[str, object] = {"video_resolution_buckets": sizes, "reshape_mode": "resize_crop"}
    else:  # resize_crop stops at pictures
        how = {"image_resolution_buckets": [[h, w] for w, h in scene.sizes()], "reshape_mode": "bicubic"}
    if scene.declaration.control:  # as its control trainer calls it
        how["rename_columns"] = {f"control.{scene.declaration.format}": "control_image"}
    datasets = [{"data_root": folder, "dataset_type": scene.medium, **how} for folder in folders]
    return "finetrainers.json", json_text({"datasets": datasets})


def _command(scene: Scene) -> str:
    control = "--training_type control-lora --control_type custom " if scene.declaration.control else ""
    return (
        f"torchrun … train.py {control}--dataset_config {scene.root}/configs/finetrainers.json "
        f"--batch_size {scene.declaration.batch_size} …"
    )


def _rule(declaration: ExportDeclaration, medium: str) -> Rule:
    sizes = Scene(declaration, "", medium, ()).sizes()
    frames = declaration.frames if medium == "video" else [1]
    return Finetrainers(tuple((w, h, f) for f in frames for w, h in sizes), distorts=medium == "image")


TRAINER = Trainer(
    name="finetrainers",
    title="a-r-r-o-w/finetrainers",
    media=frozenset({"image", "video"}),
    layouts=frozenset({"pairs", "hf", "webdataset"}),
    remainder="kept",
    repeats=False,
    config=_config,
    command=_command,
    rule=_rule,
    companions={"image": frozenset({"control"})},
    companion_layouts=frozenset({"webdataset"}),
    missing_caption="it does not see the sample",
)
