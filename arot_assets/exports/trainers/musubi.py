"""kohya-ss/musubi-tuner: pictures or clips, TOML."""

from collections.abc import Iterator, Mapping, Sequence

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.musubi import Musubi
from arot_assets.exports.companions import companion_folder
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.layouts.layout import Sample
from arot_assets.exports.trainers.trainer import Arranged, Scene, Trainer, toml

OWN = "musubi"


def _config(scene: Scene) -> tuple[str, str]:
    declaration = scene.declaration
    size = list(declaration.video_size) if scene.video else [declaration.resolution] * 2
    text = "[general]\n" + toml(
        {
            "resolution": size,
            "caption_extension": ".txt",
            "batch_size": declaration.batch_size,
            "enable_bucket": True,
            "bucket_no_upscale": not scene.video and declaration.media == "exact",
        }
    )
    for part in scene.parts:
        if declaration.layout == "musubi_jsonl":
            where = {f"{scene.medium}_jsonl_file": f"{scene.root}/{part.folder}.jsonl"}
        else:
            where = {f"{scene.medium}_directory": scene.folder(part)}
        if declaration.control and declaration.layout != "musubi_jsonl":
            several = "control_2" in declaration.companions
            own = f"{scene.root}/{OWN}/{companion_folder('control', part.folder)}"
            where |= {"control_directory": own if several else scene.beside(part)["control"]}
        values = {**where, "cache_directory": scene.cache("musubi", part), "num_repeats": part.repeats}
        if scene.video:
            values |= {"target_frames": list(declaration.frames[-1:]), "frame_extraction": "head"}
        text += "\n[[datasets]]\n" + toml(values)
        if scene.video:
            text += (
                f"# source_fps = {float(declaration.fps)}  # only where the model's frames a second differ; a float\n"
            )
    return "musubi.toml", text


def _arrange(scene: Scene, samples: Mapping[str, Sequence[Sample]]) -> Iterator[Arranged]:
    """It looks for all controls of a picture in one folder, numbered: a folder of links for it."""
    if "control_2" not in scene.declaration.companions or scene.declaration.layout == "musubi_jsonl":
        return
    for part, some in samples.items():
        place = f"{OWN}/{companion_folder('control', part)}"
        for sample in some:
            for n, path in enumerate(sample.companions.values()):
                yield Arranged(f"{place}/{sample.sample_id}_{n}.{path.rpartition('.')[2]}", path)


def _command(scene: Scene) -> str:
    return (
        f"python src/musubi_tuner/MODEL_cache_latents.py --dataset_config {scene.root}/configs/musubi.toml --vae VAE\n"
        f"accelerate launch src/musubi_tuner/MODEL_train_network.py --dataset_config {scene.root}/configs/musubi.toml …"
    )


def _rule(declaration: ExportDeclaration, medium: str) -> Rule:
    if medium == "video":
        return Musubi(*declaration.video_size, target_frames=tuple(declaration.frames[-1:]))
    side = declaration.resolution
    return Musubi(side, side, no_upscale=declaration.media == "exact")


TRAINER = Trainer(
    name="musubi",
    title="kohya-ss/musubi-tuner",
    media=frozenset({"image", "video"}),
    layouts=frozenset({"pairs", "musubi_jsonl"}),
    remainder="kept",
    config=_config,
    command=_command,
    rule=_rule,
    arrange=_arrange,
    companions={"image": frozenset({"control", "control_2", "control_3"}), "video": frozenset({"control"})},
    missing_caption="it leaves a picture out without a word, and stops at a clip",
)
