"""Sizes that no trainer scales or crops: a picture stored in one of them is trained as it is.

Belongs here: the sizes of ``media: exact``, and which of them a picture gets. Does not belong here: resampling
(``prepare.py``).

Exact in sd-scripts (step 64, with and without ``bucket_no_upscale``), ai-toolkit (16 and 32), OneTrainer (64), SimpleTuner (64)
and musubi-tuner (``bucket_no_upscale``); diffusion-pipe and diffusers when their buckets
are these. The test asks each rule.
"""

from math import log

EXACT: dict[int, tuple[tuple[int, int], ...]] = {
    512: ((512, 512), (576, 448), (960, 256), (1024, 256)),
    768: ((768, 768), (832, 704), (1024, 576), (1088, 512), (1536, 384)),
    1024: ((1024, 1024), (1152, 896), (1344, 768), (1472, 704), (1600, 640), (1792, 576), (2048, 512)),
    1280: ((1280, 1280), (1408, 1152), (1536, 1024), (1664, 960), (1792, 896), (2560, 640)),
    1536: ((1536, 1536), (1728, 1344), (2048, 1152), (2432, 960), (3072, 768)),
}
"""Training size -> widths and heights, lying; turned they are exact too."""


def exact_sizes(resolution: int) -> list[tuple[int, int]]:
    """Both orientations of the sizes of a training size.

    Raises:
        ValueError: there are none for this training size.
    """
    if resolution not in EXACT:
        raise ValueError(
            f"media: exact has sizes for a resolution of {', '.join(map(str, EXACT))}, not for {resolution}"
        )
    return list(dict.fromkeys(size for w, h in EXACT[resolution] for size in ((w, h), (h, w))))


def nearest_exact(width: int, height: int, resolution: int) -> tuple[int, int]:
    """The size whose aspect ratio is nearest to a picture's, so that least is cropped."""
    ratio = log(width / height)
    return min(exact_sizes(resolution), key=lambda size: abs(log(size[0] / size[1]) - ratio))
