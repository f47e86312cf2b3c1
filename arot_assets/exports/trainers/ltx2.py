"""Lightricks/LTX-2: clips, all from the command line."""

from arot_assets.exports.buckets.bucket import Rule
from arot_assets.exports.buckets.ltx import Ltx
from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Scene, Trainer


def buckets(declaration: ExportDeclaration) -> tuple[tuple[int, int, int], ...]:
    """Width, height and frames of ``--resolution-buckets``."""
    sizes = Scene(declaration, "", "video", ()).sizes()
    return tuple((w, h, f) for f in declaration.frames for w, h in sizes)


def buckets_line(declaration: ExportDeclaration) -> str:
    """The value of ``--resolution-buckets``."""
    return ";".join(f"{w}x{h}x{f}" for w, h, f in buckets(declaration))


def _config(scene: Scene) -> tuple[str, str]:
    return "resolution_buckets.txt", buckets_line(scene.declaration) + "\n"


def _command(scene: Scene) -> str:
    return (
        f"python scripts/process_dataset.py {scene.root}/dataset.jsonl --resolution-buckets "
        f'"{buckets_line(scene.declaration)}" --model-path MODEL --text-encoder-path GEMMA'
    )


def _rule(declaration: ExportDeclaration, _medium: str) -> Rule:
    return Ltx(buckets(declaration))


TRAINER = Trainer(
    name="ltx2",
    title="Lightricks/LTX-2",
    media=frozenset({"video"}),
    layouts=frozenset({"ltx"}),
    remainder="dropped",
    config=_config,
    command=_command,
    rule=_rule,
    companions={"video": frozenset({"mask", "control"})},
    missing_caption="it stops",
)
