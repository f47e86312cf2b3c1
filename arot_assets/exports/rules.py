"""The contract of an export: what trainers' loaders cannot take, rule by rule, and what is done about it.

Belongs here: the rules, what happens if one is broken, and which can be mended. Does not belong here: finding violations in
rows (``selection.py``), in files that are prepared (``prepare.py``) and in what was written (``contract.py``).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

RuleName = Literal[
    "caption_missing",
    "caption_lines",
    "caption_encoding",
    "small_side",
    "frames",
    "fps",
    "multiple",
    "bucket",
    "format",
    "orientation",
    "alpha",
    "profile",
    "metadata",
    "animation",
    "up_scaled",
    "companion_missing",
    "companion_shape",
    "unreadable",
    "name",
    "stem",
    "missing_file",
    "foreign_file",
]
Action = Literal["stop", "skip", "mend", "keep"]
"""``stop``: nothing is exported. ``skip``: the sample is left out and listed. ``mend``: it is changed and noted. ``keep``: it is
exported as it is and noted."""


@dataclass(frozen=True)
class ContractRule:
    """One rule.

    Attributes:
        says: what must hold.
        otherwise: what trainers do if it does not.
        action: the default.
        mendable: whether ``mend`` is possible.
        media: the media that it is about; empty for all.
        remedy: what else there is to do than excluding samples; a sentence.
    """

    says: str
    otherwise: str
    action: Action
    mendable: bool = False
    media: tuple[str, ...] = ()
    remedy: str = ""


CUT = "Cut the clips with the same `frames`, `fps` and `size` (`arot cut`), or declare theirs. "
RULES: Mapping[RuleName, ContractRule] = {
    "caption_missing": ContractRule(
        "every sample has a caption that is not empty",
        "sd-scripts, ai-toolkit and OneTrainer train it with an empty caption, musubi-tuner and diffusion-pipe leave it out, "
        "SimpleTuner stops",
        "stop",
        remedy="Write them in the subset's SQL or by a captioner, and name their column in `caption`. ",
    ),
    "caption_lines": ContractRule(
        "a caption is one line without a line break at its end",
        "sd-scripts takes the first line, OneTrainer and SimpleTuner one at random, the others all lines",
        "mend",
        mendable=True,
    ),
    "caption_encoding": ContractRule(
        "captions are UTF-8 without byte order mark",
        "sd-scripts, ai-toolkit and OneTrainer stop in the middle of the training",
        "stop",
    ),
    "small_side": ContractRule(
        "both sides have at least 64 pixels",
        "a side below the bucket step gives an empty bucket or many times up-scaled pixels",
        "stop",
    ),
    "frames": ContractRule(
        "clips have as many frames as a bucket takes: 4n + 1, and 8n + 1 for LTX",
        "a clip that is one frame short is left out, of one that is longer the rest is cut off",
        "stop",
        media=("video",),
        remedy=CUT,
    ),
    "fps": ContractRule(
        "all clips have the declared frames a second",
        "trainers take frames as they come, so motion gets faster or slower; diffusion-pipe counts them after conversion",
        "stop",
        media=("video",),
        remedy=CUT,
    ),
    "multiple": ContractRule(
        "widths and heights of clips are multiples of 32",
        "LTX-2 refuses the bucket, others scale and crop",
        "stop",
        media=("video",),
        remedy=CUT,
    ),
    "bucket": ContractRule(
        "every trainer has a bucket for it", "the trainer leaves the sample out, or stops at it", "stop"
    ),
    "format": ContractRule(
        "pictures are 8-bit gray or RGB in JPEG or PNG, clips are H.264 in MP4",
        "finetrainers and LTX-2 do not take WebP; other formats are ignored or stop the run",
        "mend",
        mendable=True,
    ),
    "orientation": ContractRule(
        "pixels are stored upright",
        "sd-scripts, musubi-tuner and diffusion-pipe ignore the EXIF orientation: trained lying on its side",
        "mend",
        mendable=True,
        media=("image",),
    ),
    "alpha": ContractRule(
        "there is no transparency",
        "diffusion-pipe puts it over white, the others show the hidden colours below it",
        "mend",
        mendable=True,
        media=("image",),
    ),
    "profile": ContractRule(
        "colours are sRGB", "no trainer converts: colours are trained wrong", "mend", mendable=True, media=("image",)
    ),
    "metadata": ContractRule(
        "files carry no metadata",
        "the place where a photo or a clip was taken, prompts of generators and the like would be passed on",
        "mend",
        mendable=True,
        media=("image", "video"),
    ),
    "animation": ContractRule(
        "pictures have one frame",
        "diffusion-pipe stops at animated WebP, others take the first frame",
        "mend",
        mendable=True,
        media=("image",),
    ),
    "up_scaled": ContractRule(
        "`media: exact` scales no picture up", "pixels are invented", "mend", mendable=True, media=("image",)
    ),
    "companion_missing": ContractRule(
        "every sample has the mask and the control that are declared",
        "sd-scripts, musubi-tuner and diffusion-pipe stop at a missing control; without its mask, a whole picture is trained",
        "stop",
    ),
    "companion_shape": ContractRule(
        "masks and controls have the shape of their sample, those of clips its size, frames and rate too",
        "they are scaled and cropped in another way than the sample, so they no longer lie over it; diffusion-pipe stops",
        "stop",
    ),
    "unreadable": ContractRule(
        "every file can be read and is the one that was chosen",
        "sd-scripts and OneTrainer stop, ai-toolkit silently trains another picture in its place",
        "stop",
    ),
    "name": ContractRule(
        "names have only letters, digits, `-`, `_` and one dot, and differ not only in case",
        "caches of musubi-tuner and SimpleTuner are confused, or the file is not found",
        "stop",
    ),
    "stem": ContractRule(
        "no two files of a folder have one stem", "they share one caption file and one cache file", "stop"
    ),
    "missing_file": ContractRule("every file that is listed is there", "the trainer stops", "stop"),
    "foreign_file": ContractRule(
        "there is nothing else beside the media",
        "diffusion-pipe opens every file, sd-scripts and musubi-tuner trust old caches",
        "stop",
    ),
}

CHOSEN: tuple[RuleName, ...] = (
    "caption_missing", "caption_lines", "small_side", "frames", "fps", "multiple", "bucket", "format", "orientation", "alpha",
    "profile", "metadata", "animation", "up_scaled", "companion_missing", "companion_shape", "unreadable",
)  # fmt: skip
"""Rules whose action a declaration may choose; the others hold by the way in which files are written."""


@dataclass(frozen=True)
class Violation:
    """A rule that does not hold for one sample or file.

    Attributes:
        rule: its name.
        subject: the sample_id or the path.
        text: what is there instead.
    """

    rule: RuleName
    subject: str
    text: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.rule}: {self.text}"


def one_line(caption: str) -> str:
    """A caption as every trainer reads it: one line, without space at either end."""
    return (
        " ".join(caption.split("\n")).replace("\r", " ").strip()
        if "\n" in caption or "\r" in caption
        else caption.strip()
    )
