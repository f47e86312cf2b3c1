"""CPU seconds for an hour of sound: the metric `voice` beside the published code of Silero VAD, in one run.

    python bench/voice.py                          # half an hour of sound, three rounds
    python bench/voice.py --minutes 120 --rounds 5 --write

The sound is three seconds of a voice, again and again, with quiet noise between. Ours hears it in stretches of 8 s, as a run
does, and makes the columns of the table. Silero's code is that of its package, which is downloaded for the run and not installed:
`OnnxWrapper` and `get_speech_timestamps`, a call of ONNX Runtime for each 512 samples; and its newer way over blocks of windows,
another file of the same weights. Each has one thread, and they take turns. No sound is decoded here.
"""

import argparse
import importlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import wave
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import results
from numpy.typing import NDArray

from arot_assets.media.wants import SOUND_RATE, SoundStretch
from arot_assets.metrics.listening import Listening
from resources.models import Models
from resources.models.entries import find_entry
from resources.models.entry import Package
from resources.models.output_values import values_of

VOICE = Path(__file__).parents[1] / "tests" / "data" / "speech" / "sense_and_sensibility.wav"
BLOCK = 4 * SOUND_RATE
"""Samples that a film's sound comes in."""
Spans = list[tuple[float, float]]


def sound_of(minutes: float) -> NDArray[np.float32]:
    """``float32 [n]`` at 16 kHz."""
    with wave.open(str(VOICE)) as file:
        voice = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    sound = np.random.default_rng(0).standard_normal(int(minutes * 60 * SOUND_RATE), np.float32) / np.float32(1000)
    for first in range(SOUND_RATE, len(sound) - len(voice), 3 * len(voice)):
        sound[first : first + len(voice)] += voice
    return sound


def ours() -> Callable[[NDArray[np.float32]], Spans]:
    """The model of the catalogue, through what a pass hears films with."""
    models = Models(device="cpu")
    models.files.fetch(find_entry("voice"))
    model = models.get("voice")
    output = model.entry.outputs[0]

    def run(sound: NDArray[np.float32]) -> Spans:
        listening = Listening(lambda stretch: model.predict([stretch]))
        for first in range(0, len(sound), BLOCK):
            listening.add(SoundStretch(first, sound[first : first + BLOCK]))
        (row,) = values_of(output, listening.finish(len(sound) / SOUND_RATE))
        return [(span["start"], span["end"]) for span in row["spans"]]

    return run


def published(folder: Path) -> dict[str, Callable[[NDArray[np.float32]], Spans]]:
    """Silero's own code and files, of the version that the catalogue pins."""
    import torch

    torch.set_num_threads(1)
    package = find_entry("voice").weights
    assert isinstance(package, Package)
    wanted = f"{package.package}=={package.version}"
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder), wanted]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    sys.path.insert(0, str(folder))
    utils, blocks = (importlib.import_module(f"silero_vad.{name}") for name in ("utils_vad", "sequence_vad"))
    data = folder / "silero_vad" / "data"
    each = utils.OnnxWrapper(str(data / "silero_vad.onnx"), force_onnx_cpu=True)
    together = blocks.SileroVADSequence(str(data / "silero_vad_16k_sequence.onnx"))

    def spans(found: Sequence[Any]) -> Spans:
        return [(span["start"] / SOUND_RATE, span["end"] / SOUND_RATE) for span in found]

    return {
        "Silero's code, a call for each window": lambda sound: spans(
            utils.get_speech_timestamps(torch.from_numpy(sound), each)
        ),
        "Silero's code, blocks of windows": lambda sound: spans(blocks.get_speech_timestamps_sequence(sound, together)),
    }


def main() -> None:
    """Measure, print and, if asked, keep the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="append the result to RESULTS.md")
    said = parser.parse_args()
    sound = sound_of(said.minutes)
    with tempfile.TemporaryDirectory() as folder:
        ways = {"`voice`": ours(), **published(Path(folder))}
        found: dict[str, Spans] = {name: way(sound[: 60 * SOUND_RATE]) for name, way in ways.items()}  # warm
        spent: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(said.rounds):
            for name, way in ways.items():
                start = time.process_time()
                found[name] = way(sound)
                spent[name].append((time.process_time() - start) * 60 / said.minutes)
    of_ours, *others = ways
    for other in others:
        assert np.array(found[other]).shape == np.array(found[of_ours]).shape, f"{other} finds other spans"
        assert np.abs(np.array(found[other]) - np.array(found[of_ours])).max() < 1 / SOUND_RATE, other
    own = statistics.median(spent[of_ours])
    command, load = f"`python bench/voice.py {' '.join(sys.argv[1:])}`", f"load average {os.getloadavg()[0]:.1f}"
    lines = [
        f"{command}, {load}; the same {len(found[of_ours])} spans.",
        "",
        "| way | CPU s for an hour of sound, median (least) | of `voice` |",
        "|---|--:|--:|",
        *(
            f"| {name} | {statistics.median(times):.1f} ({min(times):.1f}) | {statistics.median(times) / own:.2f} |"
            for name, times in spent.items()
        ),
    ]
    print("\n".join(lines))
    if said.write:
        results.append("When somebody speaks", "\n".join(lines))


if __name__ == "__main__":
    main()
