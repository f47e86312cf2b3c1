"""tdrussell/diffusion-pipe: pictures or clips, TOML."""

from math import sqrt

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.diffusion_pipe import DiffusionPipe
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Scene, Trainer, toml

RATIOS = {"min_ar": 0.5, "max_ar": 2.0, "num_ar_buckets": 7}


def _config(scene: Scene) -> tuple[str, str]:
    declaration = scene.declaration
    values: dict[str, object]
    if scene.video:
        sizes = scene.sizes()
        values = {
            "resolutions": [list(declaration.video_size)],
            "enable_ar_bucket": True,
            "ar_buckets": [list(size) for size in sizes],
            "frame_buckets": [1, *declaration.frames],
        }
    elif declaration.media == "exact":
        # in ascending order of width / height: it sorts the ratios of a list, and not the list itself
        values = {"size_buckets": [[w, h, 1] for w, h in scene.sizes()]}
    else:
        values = {"resolutions": [declaration.resolution], "enable_ar_bucket": True, **RATIOS, "frame_buckets": [1]}
    text = toml(values)
    for part in scene.parts:
        beside = {f"{role}_path": folder for role, folder in scene.beside(part).items()}
        text += "\n[[directory]]\n" + toml({"path": scene.folder(part), **beside, "num_repeats": part.repeats})
    return "diffusion_pipe.toml", text


def _command(scene: Scene) -> str:
    return (
        f"deepspeed --num_gpus={scene.declaration.gpus} train.py --deepspeed --config CONFIG.toml  "
        f"# with dataset = '{scene.root}/configs/diffusion_pipe.toml'"
    )


def _rule(declaration: ExportDeclaration, medium: str) -> Rule:
    scene = Scene(declaration, "", medium, ())
    if medium == "video":
        width, height = declaration.video_size
        ratios = tuple(w / h for w, h in scene.sizes())
        frames = (1, *declaration.frames)
        return DiffusionPipe((sqrt(width * height),), ar_buckets=ratios, frame_buckets=frames)
    if declaration.media == "exact":
        return DiffusionPipe(sizes=tuple(scene.sizes()))
    return DiffusionPipe((declaration.resolution,), RATIOS["min_ar"], RATIOS["max_ar"], int(RATIOS["num_ar_buckets"]))


TRAINER = Trainer(
    name="diffusion-pipe",
    title="tdrussell/diffusion-pipe",
    media=frozenset({"image", "video"}),
    layouts=frozenset({"pairs", "diffusion_pipe_json"}),
    remainder="dropped",
    config=_config,
    command=_command,
    rule=_rule,
    companions={"image": frozenset({"mask", "control"})},
    missing_caption="it leaves the sample out, and warns",
)
