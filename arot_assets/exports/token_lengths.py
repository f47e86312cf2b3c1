"""How long captions are for the text encoders of the models that are trained: what an encoder does not read is not trained.

Belongs here: which encoder reads how many tokens, and sums over captions. Does not belong here: counting one text
(``resources.models``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from resources.models.clip_tokens import clip_tokens
from resources.models.shipped_tokens import qwen_tokens, t5_tokens

LOOKED_AT = 2000
"""Captions of a large set that are counted, evenly spread."""


@dataclass(frozen=True)
class TextEncoder:
    """A text encoder.

    Attributes:
        name: as it is shown.
        count: the length of a text in its tokens, without marks of begin and end.
        limits: model -> tokens of a caption that it reads, marks not counted.
    """

    name: str
    count: Callable[[str], int]
    limits: Mapping[str, int]


ENCODERS = (
    TextEncoder("CLIP", clip_tokens, {"SD 1.5, SDXL": 75}),
    TextEncoder("T5", t5_tokens, {"SD 3, LTX-Video": 255, "FLUX.1": 511}),
    TextEncoder("Qwen", qwen_tokens, {"Z-Image": 504, "Qwen-Image": 1024}),
)
"""Limits as trainers set them: sd-scripts (``--max_token_length``, ``--t5xxl_max_token_length``), LTX-Video-Trainer
(``max_sequence_length``), musubi-tuner (``zimage_config``, less the eight of its chat template; ``qwen_image_utils``)."""


def length_lines(captions: Sequence[str]) -> list[str]:
    """A line for each encoder: the longest caption, and how many are cut."""
    step = max(1, -(-len(captions) // LOOKED_AT))
    looked_at = captions[::step]
    if not looked_at:
        return []
    head = f"of {len(looked_at):,} captions" + (f" (one in {step:,})" if step > 1 else "")
    lines = []
    for encoder in ENCODERS:
        counts = [encoder.count(caption) for caption in looked_at]
        cut = (f"{sum(c > n for c in counts):,} over the {n:,} of {model}" for model, n in encoder.limits.items())
        lines.append(f"{encoder.name}: {head} the longest has {max(counts):,} tokens; {', '.join(cut)}")
    return lines
