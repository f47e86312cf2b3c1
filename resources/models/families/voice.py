"""The ``voice`` family: Silero VAD (github.com/snakers4/silero-vad), which says whether somebody speaks, run by ONNX Runtime.

Belongs here: the network over stretches of sound, and the published way to run it. Does not belong here: which stretches there
are (``arot_assets.metrics.listening``), when speech begins and ends (``speech.py``).

It hears 512 samples at 16 kHz in one channel at a time, after the 64 that were before, and carries a state from each window to
the next. An input is ``float32 [320 + 512 K]``: what is carried (the state, 256 numbers, and the 64 samples; zeros at the start
of a sound), and K windows. Arrays: ``probability [N, K]`` of speech in each window, ``carried [N, 320]`` for the next stretch. So
a film is heard in stretches, and the numbers are those of hearing it at once. It runs on the CPU, whatever the device: each
window waits for the one before, and takes a tenth of a millisecond.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError
from resources.models.families.onnx import session_options
from resources.models.network import Network, Outputs, Placement
from resources.models.speech import CARRIED, CONTEXT, RATE, STATE, WINDOW

VERSION = "1"
ENGINES = ("onnxruntime",)
FILES = ("*.onnx",)


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    run = _run(entry, folder)
    size = (folder / entry.file()).stat().st_size

    def predict(inputs: NDArray[Any]) -> Outputs:
        count = len(inputs)
        state = np.ascontiguousarray(inputs[:, : CARRIED - CONTEXT].reshape(count, *STATE).transpose(1, 0, 2))
        sound, found = inputs[:, CARRIED - CONTEXT :], []
        for start in range(0, sound.shape[1] - CONTEXT, WINDOW):
            said, state = run(np.ascontiguousarray(sound[:, start : start + CONTEXT + WINDOW]), state)
            found.append(said[:, 0])
        left = np.concatenate([state.transpose(1, 0, 2).reshape(count, -1), sound[:, -CONTEXT:]], axis=1)
        return {"probability": np.stack(found, axis=1), "carried": left}

    return Network(whole_sound, predict, None, size, device="cpu")


def whole_sound(samples: NDArray[Any]) -> NDArray[np.float32]:
    """``float32 [n]``, a sound from its start on, as one input; zeros fill the last window."""
    found = np.zeros(CARRIED + max(1, -(-len(samples) // WINDOW)) * WINDOW, np.float32)
    found[CARRIED : CARRIED + len(samples)] = samples
    return found


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Any], Outputs]":
    """The published pipeline: one window after the other, each with its context, in a plain session of ONNX Runtime."""
    import onnxruntime

    runtime = onnxruntime.InferenceSession(str(folder / entry.file()), providers=["CPUExecutionProvider"])

    def run(sound: Any) -> Outputs:
        left = np.asarray(sound, np.float32)[None]
        state, before = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32)
        found: list[float] = []
        while left.shape[1] or not found:
            chunk, left = left[:, :512], left[:, 512:]
            chunk = np.pad(chunk, ((0, 0), (0, 512 - chunk.shape[1])))
            given = np.concatenate([before, chunk], axis=1)
            said, state = runtime.run(None, {"input": given, "state": state, "sr": np.array(16_000, np.int64)})
            before = given[:, -64:]
            found.append(float(said[0, 0]))
        return {"probability": np.array([found], np.float32)}

    return run


def _run(
    entry: ModelEntry, folder: Path
) -> "Callable[[NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]":
    """One window: ``[N, 576]`` and the state ``[2, N, 128]`` -> probabilities ``[N, 1]`` and the next state.

    Raises:
        ModelError: it is no ONNX file, or not of this network.
    """
    import onnxruntime

    file = folder / entry.file()
    try:
        runtime = onnxruntime.InferenceSession(str(file), session_options(1), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no base class of their own
        said = " ".join(str(error).split())[:200]
        raise ModelError(f"model '{entry.name}': ONNX Runtime cannot load {file.name}: {said}") from error
    takes = sorted(given.name for given in runtime.get_inputs())
    if takes != ["input", "sr", "state"] or len(runtime.get_outputs()) != 2:
        raise ModelError(
            f"model '{entry.name}': {file.name} takes {', '.join(takes)}, and Silero VAD input, sr and state; another network "
            "needs a family of its own"
        )
    rate, names = np.array(RATE, np.int64), [output.name for output in runtime.get_outputs()]

    def run(window: NDArray[np.float32], state: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        said, after = runtime.run(names, {"input": window, "state": state, "sr": rate})
        return said, after

    return run
