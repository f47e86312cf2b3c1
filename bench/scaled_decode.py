"""May a JPEG be decoded at a smaller scale (DCT) where only models look at it? What is gained, and how far scores move.

Belongs here: both ways to the same input of a model, the CPU time of each, and the difference of what the model says. libjpeg
scales by eighths: the smallest scale is taken at which neither side is below the model's input, or twice that.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import results
from numpy.typing import NDArray
from photo_sets import ABOUT, photo_set

from arot_assets.markdown import write_table
from resources.models import Models

ASKED = 2e-5
"""Largest difference from the reference pipeline that the families' tests allow."""


def decoded(data: bytes, least: int) -> NDArray[np.uint8]:
    """``uint8 [H, W, 3]`` RGB, no side below ``least``; 0 for the full size."""
    import simplejpeg

    found: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, "RGB", min_height=least, min_width=least)
    return found


def cpu_ms(way: Callable[[], object], rounds: int) -> float:
    """CPU milliseconds of one thread, the median of some rounds."""
    took = []
    for _ in range(rounds):
        start = time.thread_time()
        way()
        took.append(time.thread_time() - start)
    return statistics.median(took) * 1000


def measure(name: str, files: Sequence[bytes], rounds: int) -> list[list[Any]]:
    """The rows of one model."""
    model = Models(device="cpu").get(name)
    how = model.entry.preprocessing
    assert how is not None, "a model of this bench states its size"
    size = max(how.height_width)

    def inputs(least: int) -> list[NDArray[Any]]:
        return [model.prepare(decoded(data, least)) for data in files]

    def said(prepared: Sequence[NDArray[Any]]) -> NDArray[np.float32]:
        found = [model.predict([one]) for one in prepared]
        output = model.entry.outputs[0].of
        return np.concatenate([np.asarray(one[output]) for one in found])

    whole = inputs(0)
    expected = said(whole)
    spread = float(expected.std(axis=0).mean()) or 1.0
    plain = statistics.mean(cpu_ms(lambda d=data: decoded(d, 0), rounds) for data in files)  # type: ignore[misc]
    lines = []
    for factor in (2, 1):
        least = factor * size
        scaled = inputs(least)
        found = said(scaled)
        took = statistics.mean(cpu_ms(lambda d=data, s=least: decoded(d, s), rounds) for data in files)  # type: ignore[misc]
        moved = float(np.abs(found - expected).max()) / spread
        levels = max(float(np.abs(a - b).mean() / (a.std() or 1.0)) for a, b in zip(scaled, whole, strict=True))
        lines.append(
            [
                name,
                f"{factor} x {size}",
                f"{plain:.1f}",
                f"{took:.1f}",
                f"{plain / took:.2f} x",
                f"{levels:.3f}",
                f"{moved:.3f}",
            ]
        )
    return lines


def main() -> None:
    """Measure, print, and with --record keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=Path("examples/images/photo"), help="a folder of real photos")
    parser.add_argument("--models", nargs="+", default=["efficientnet_lite0", "real_or_drawn", "open_nsfw"])
    parser.add_argument("--files", type=int, default=16, help="of the set of 1.6 MP")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record", action="store_true", help="append to RESULTS.md")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        files = [file.read_bytes() for file in photo_set("A", asked.photos, Path(folder))[: asked.files]]
    lines = [line for name in asked.models for line in measure(name, files, asked.rounds)]
    head = (
        "model",
        "no side below",
        "decode, CPU ms",
        "scaled, CPU ms",
        "gain",
        "input moves by, mean in its spreads",
        "output",
    )
    text = (
        f"{len(files)} of the {ABOUT['A']}, one thread, CPU time. `output` is the largest difference of any output of any image, "
        f"in spreads of that output over the images; the families' parity with their published pipelines is {ASKED:g}.\n\n"
        + write_table(head, lines)
    )
    print(text)
    if asked.record:
        results.append("Scaled decoding of JPEG for models", text)


if __name__ == "__main__":
    main()
