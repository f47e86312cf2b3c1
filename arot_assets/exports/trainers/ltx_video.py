"""Lightricks/LTX-Video-Trainer: clips, all from the command line; LTX-2's trainer has taken its place."""

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.lightricks import Sizes, clip_trainer
from arot_assets.exports.trainers.trainer import Scene


def bucket(declaration: ExportDeclaration) -> Sizes:
    """The only bucket that it takes."""
    width, height = declaration.video_size
    return ((width, height, declaration.frames[-1]),)


def _command(scene: Scene, bucket: str) -> str:
    reference = " --reference-column reference_video" if scene.declaration.control else ""
    return (
        f"python scripts/preprocess_dataset.py {scene.root}/dataset.jsonl --resolution-buckets {bucket} "
        f"--caption-column caption --video-column video{reference}"
    )


TRAINER = clip_trainer(
    bucket,
    _command,
    file="resolution_bucket_ltx_video.txt",
    name="ltx-video",
    title="Lightricks/LTX-Video-Trainer",
    companions={"video": frozenset({"control"})},
    superseded=True,
)
