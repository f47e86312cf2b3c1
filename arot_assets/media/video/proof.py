"""The proof of a clip's file: it is decoded again, and compared with its film.

Belongs here: what a row of proof says. Does not belong here: writing the file (``clip_file.py``). Only workers import
this module.
"""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arot_assets.media.video.clip_file import Writer, small_luma
from arot_assets.media.video.colour import FrameAppearance, rgb_of
from arot_assets.media.video.container import opened
from arot_assets.media.video.sound import CODEC, heard_seconds
from arot_assets.media.wants import Pixels

EQUAL = 99.0
"""The margin, in dB, beside frames that cannot be told apart."""


def proved(writer: Writer) -> dict[str, Any]:
    """Finish a clip, decode its file, and compare."""
    writer.finish()
    cut = writer.cut
    row: dict[str, Any] = {
        "clip_id": cut.clip_id,
        "fps": float(writer.rate),
        "frames_planned": writer.count,
        "source_frames": cut.end_n - cut.start_n,
        "source_crc_wrong": writer.wrong,
        "first_n": writer.used[0] if writer.used else None,
        "last_n": writer.used[-1] if writer.used else None,
        "repeated": len(writer.used) - len(set(writer.used)),
        "speed": float(writer.speed),
        "repeats_dropped": len(writer.skip),
        "audio": "dropped" if writer.settings.audio == "drop" else "none" if writer.sound is None else CODEC,
    }
    if writer.count == 0:
        text = f"at this rate it would play {float(writer.speed):.3f} times as fast; retiming changes at most 5 %"
        return row | {"status": "failed", "reason": text, "frames_written": 0}
    if writer.container is None:
        return row | {"status": "failed", "reason": "no frame of its span was decoded", "frames_written": 0}
    checked = {0: "first", writer.count // 2: "middle", writer.count - 1: "last"}
    count, size = 0, (0, 0)
    right = True
    for k, picture in _read_back(writer.path):
        count, size = k + 1, (picture.shape[1], picture.shape[0])
        if k in checked and k < len(writer.used):
            own, margin = _compared(small_luma(picture), writer.small, writer.used[k])
            row |= {f"psnr_{checked[k]}": own, f"margin_{checked[k]}": margin}
            right &= margin >= 0
    heard = heard_seconds(writer.path) if writer.sound is not None else None
    seconds = float(writer.count / writer.rate)
    if writer.sound is not None:
        row |= {"audio_seconds": heard, "audio_silent": writer.sound.silent, "audio_rms_db": writer.sound.loudness}
    if count != writer.count:
        reason = f"{count} frames in the file instead of {writer.count}"
    elif writer.wrong:
        reason = f"{writer.wrong} source frames differ from those of the first decode; run the film's dataset again"
    elif not right:
        reason = "a frame of the file resembles another frame of the film more than its own"
    elif writer.sound is not None and abs((heard or 0.0) - seconds) > float(1 / writer.rate):
        reason = f"its sound has {heard or 0:.3f} s instead of {seconds:.3f}"
    else:
        reason = None
    return row | {
        "status": "ok" if reason is None else "failed",
        "reason": reason,
        "frames_written": count,
        "width": size[0],
        "height": size[1],
        "bytes": writer.path.stat().st_size,
    }


def _read_back(path: Path) -> Iterator[tuple[int, Pixels]]:
    """The frames of a written file, as a player shows them."""
    with opened(path) as container:
        for k, frame in enumerate(container.decode(video=0)):
            yield k, rgb_of(frame, FrameAppearance(0, False, Fraction(1), "bt709", False, None))


def _compared(shown: NDArray[np.float32], sources: Mapping[int, NDArray[np.float32]], n: int) -> tuple[float, float]:
    """PSNR of a frame to its source in dB, and by how much it exceeds that to the source's neighbours.

    A neighbour that differs from the source by less than the encoder changed it says nothing: the margin is then
        ``EQUAL``.
    """

    def psnr(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        return float(10 * np.log10(255**2 / max(float(np.mean((a - b) ** 2)), 1e-6)))

    own = psnr(shown, sources[n])
    others = [sources[k] for k in (n - 1, n + 1) if k in sources and psnr(sources[k], sources[n]) < own]
    return own, min((own - psnr(shown, other) for other in others), default=EQUAL)
