"""Writes one page for each trainer, from the records that exports are made with: no page promises something else.

    python docs/trainers.py    writes docs/trainers/*.md

Belongs here: the arrangement of a page, and what users of each trainer fight with. Does not belong here: configurations and
buckets (``arot_assets.exports.trainers``).
"""

from pathlib import Path

from arot_assets.exports.export import ExportDeclaration
from arot_assets.exports.trainers.trainer import Part, Scene, Trainer
from arot_assets.exports.trainers.trainers import TRAINERS

FOLDER = Path(__file__).parent / "trainers"
ROOT = "/store/exports/portraits/3f2a91bc04d1e6f7"
REMAINDERS = {
    "kept": "trained in a short batch",
    "dropped": "not trained in that epoch",
    "padded": "filled up with samples that were seen already",
    "refused": "refused: a bucket that is smaller than one batch stops the run",
}
COUNTS = {1: "a control", 3: "up to three controls"}
REPEATS = {
    True: "Subsets of `mix` may have repeats or shares of their own.",
    False: "It has no repeats: subsets in `mix` are seen equally often, and an export with others is not made for it.",
}
PITFALLS = {
    "sd-scripts": (
        "Its default caption extension is `.caption`: with text files, training goes on without captions. The configuration "
        "sets `.txt`.",
        "`max_bucket_reso` of 1024 squeezes every wide picture of a 1024 training; the configuration sets twice the resolution.",
        "Old `.npz` caches beside pictures are trusted for their size; an export contains none.",
    ),
    "musubi": (
        "Clips that are shorter than `target_frames` give no sample, and nothing is printed; `arot buckets` names them.",
        "Each dataset needs a `cache_directory` of its own: equal names overwrite each other's caches.",
        "`source_fps` must be a float.",
        "Of several controls, models that take one (FLUX.1 Kontext, FramePack, Wan) see the first.",
    ),
    "diffusion-pipe": (
        "Buckets are cut down to whole batches; a bucket with fewer samples disappears, which only a log line says.",
        "Frames are counted after conversion to the model's rate: export clips at that rate.",
        "`size_buckets` must be in ascending order of width / height, because their ratios are sorted and they are not.",
    ),
    "ai-toolkit": (
        "It never scales up: a small picture is trained small.",
        "A picture that cannot be read is replaced by another one without a word; exports are read back before.",
        "`shrink_video_to_frames` makes motion faster; the configuration sets it to false.",
        "Clips as controls reach models that take reference clips (MiniMax-H3); others do not see them, without a word.",
    ),
    "onetrainer": (
        "Sizes that are exact for other trainers, such as 1216x832, are cropped; `media: exact` has those that are not.",
        "Crop jitter is on by default; the configuration turns it off.",
    ),
    "simpletuner": (
        "Controls are references that lie over their samples (`reference_strict`), for models that edit; for ControlNet, set "
        "`conditioning_type` to `controlnet`. Several are all seen only with `--conditioning_multidataset_sampling combined`.",
        "The first picture of an aspect ratio fixes the size of all others of it.",
        "Never set `delete_unwanted_images` or `delete_problematic_images`: they delete the files of the export.",
    ),
    "finetrainers": (
        "`reshape_mode: bicubic` distorts pictures to the bucket; use `media: exact`, in which nothing has to be reshaped.",
        "A folder `a/b` is looked up on the Hub first; the configuration has absolute paths.",
    ),
    "diffusers": (
        "The text column is named on the command line; `text_to_image` takes `text`.",
        "With aspect buckets the remainder of each is dropped, in some scripts the same samples for the whole run.",
    ),
    "ltx2": (
        "Clips shorter than every bucket are left out with a warning.",
        "More than one bucket needs a batch size of 1.",
        "WebP pictures go to the video reader.",
    ),
    "ltx-video": (
        "LTX-2's trainer has taken its place: an export is made for it only where `trainers` names it.",
        "It takes one bucket: clips of the other orientation are cropped to it.",
        "If a clip is shorter than the bucket, captions shift to the wrong clips; an export refuses it.",
    ),
}


def companions(trainer: Trainer) -> str:
    """Which masks and controls it takes."""
    told = []
    for medium, roles in sorted(trainer.companions.items()):
        controls = len(roles - {"mask"})
        kinds = [*(["a mask"] if "mask" in roles else []), *([COUNTS[controls]] if controls else [])]
        told.append(f"{(' or ' if trainer.one_companion else ' and ').join(kinds)} beside {medium}s")
    if not told:
        return "It takes no masks and no controls."
    layouts = sorted(trainer.companion_layouts or ())
    where = f", in the layout {', '.join(f'`{name}`' for name in layouts)}" if layouts else ""
    return f"It takes {'; '.join(told)}{where}: [masks and controls](../export-for-trainers.md#masks-and-controls)."


def page(trainer: Trainer) -> str:
    """The page of a trainer."""
    medium = "image" if "image" in trainer.media else "video"
    layout = next(name for name in ("pairs", "hf", "ltx") if name in trainer.layouts)
    declaration = ExportDeclaration.model_validate(
        {"name": "portraits", "subset": "clean", "layout": layout, "media": "exact" if medium == "image" else "safe"}
    )
    scene = Scene(declaration, ROOT, medium, [Part("clean", f"{medium}s", 1, 1000)])
    layouts = ", ".join(f"`{name}`" for name in sorted(trainer.layouts))
    plural = "s" if len(trainer.layouts) > 1 else ""
    media = " and ".join(f"{m}s" for m in sorted(trainer.media))
    lines = [
        f"# {trainer.name}",
        "",
        f"[{trainer.title}](https://github.com/{trainer.title}) trains {media} and takes the layout{plural} {layouts}.",
        "How to declare and write an export: [Export for trainers](../export-for-trainers.md).",
        "",
        "```yaml",
        "type: arot_assets.components.Export",
        "attributes:",
        "  name: portraits",
        "  subset: clean",
        f"  layout: {layout}",
        *(["  media: exact"] if medium == "image" else []),
        *([f"  trainers: [{trainer.name}]"] if trainer.superseded else []),
        "```",
        "",
        "`arot export portraits` writes the version; then start the trainer:",
        "",
        "```sh",
        trainer.command(scene),
        "```",
        "",
    ]
    made = trainer.config(scene)
    if made is not None:
        name, text = made
        kind = {"toml": "toml", "yaml": "yaml", "json": "json"}.get(name.rpartition(".")[2], "text")
        lines += [f"`configs/{name}`:", "", f"```{kind}", text.rstrip(), "```", ""]
    lines += [
        "## What to know",
        "",
        f"- Without a caption {trainer.missing_caption}. An export refuses that, or leaves the sample out as declared.",
        f"- What does not fill a batch of a bucket is {REMAINDERS[trainer.remainder]}; `arot buckets` counts it.",
        f"- {companions(trainer)}",
        f"- {REPEATS[trainer.repeats]}",
        *(f"- {text}" for text in PITFALLS[trainer.name]),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for trainer in TRAINERS.values():
        (FOLDER / f"{trainer.name}.md").write_text(page(trainer), encoding="utf-8")
