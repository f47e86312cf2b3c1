"""Lightricks/LTX-2: clips, all from the command line."""

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.lightricks import Sizes, clip_trainer
from arot_assets.exports.trainers.trainer import Scene


def buckets(declaration: ExportDeclaration) -> Sizes:
    """Every size with every number of frames."""
    sizes = Scene(declaration, "", "video", ()).sizes()
    return tuple((w, h, f) for f in declaration.frames for w, h in sizes)


def _command(scene: Scene, buckets: str) -> str:
    return (
        f'python scripts/process_dataset.py {scene.root}/dataset.jsonl --resolution-buckets "{buckets}" '
        "--model-path MODEL --text-encoder-path GEMMA"
    )


TRAINER = clip_trainer(
    buckets,
    _command,
    file="resolution_buckets.txt",
    name="ltx2",
    title="Lightricks/LTX-2",
    companions={"video": frozenset({"mask", "control"})},
)
