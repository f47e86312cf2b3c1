"""Lightricks/LTX-Video-Trainer: clips, all from the command line; LTX-2's trainer has taken its place."""

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.ltx import Ltx
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Scene, Trainer


def bucket(declaration: ExportDeclaration) -> tuple[int, int, int]:
    """Width, height and frames of the only bucket that it takes."""
    width, height = declaration.video_size
    return width, height, declaration.frames[-1]


def _line(declaration: ExportDeclaration) -> str:
    return "x".join(map(str, bucket(declaration)))


def _config(scene: Scene) -> tuple[str, str]:
    return "resolution_bucket_ltx_video.txt", _line(scene.declaration) + "\n"


def _command(scene: Scene) -> str:
    reference = " --reference-column reference_video" if scene.declaration.control else ""
    return (
        f"python scripts/preprocess_dataset.py {scene.root}/dataset.jsonl --resolution-buckets {_line(scene.declaration)} "
        f"--caption-column caption --video-column video{reference}"
    )


def _rule(declaration: ExportDeclaration, _medium: str) -> Rule:
    return Ltx((bucket(declaration),))


TRAINER = Trainer(
    name="ltx-video",
    title="Lightricks/LTX-Video-Trainer",
    media=frozenset({"video"}),
    layouts=frozenset({"ltx"}),
    remainder="dropped",
    config=_config,
    command=_command,
    rule=_rule,
    companions={"video": frozenset({"control"})},
    missing_caption="it stops",
    superseded=True,
)
