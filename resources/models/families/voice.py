"""The ``voice`` family: Silero VAD (github.com/snakers4/silero-vad), which says whether somebody speaks, run by ONNX Runtime.

Belongs here: the network over stretches of sound, and the published way to run it. Does not belong here: which stretches there
are (``arot_assets.metrics.listening``), when speech begins and ends (``speech.py``).

It hears 512 samples at 16 kHz in one channel at a time, after the 64 that were before, and carries a state from each window to
the next. An input is ``float32 [320 + 512 K]``: what is carried (the state, 256 numbers, and the 64 samples; zeros at the start
of a sound), and K windows. Arrays: ``probability [N, K]`` of speech in each window, ``carried [N, 320]`` for the next stretch. So
a film is heard in stretches, and the numbers are those of hearing it at once.

Of the package's files it runs the one whose graph has the loop over windows within it (``options.file``): it gives the numbers of
the usual one, which has a call for each window and is what it is compared with (``options.reference``), in two fifths of the
time. It runs on the CPU, whatever the device: each window waits for the one before, and takes a thirtieth of a millisecond.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError
from resources.models.families.onnx import ON_CPU, session_options
from resources.models.network import Network, Outputs, Placement
from resources.models.speech import CARRIED, CONTEXT, STATE, WINDOW

VERSION = "1"
ENGINES = ("onnxruntime",)
FILES = ("*.onnx",)
TAKES, GIVES = ("input", "h", "c"), ("speech_probs", "hn", "cn")
"""The file's own names: windows with what is before each, and the two halves of the state."""
Run: TypeAlias = "Callable[[NDArray[np.float32], NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]"
"""Windows ``[K, 576]`` and the state ``[2, 128]`` -> probabilities ``[K]`` and the next state."""


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    run = _run(entry, folder)
    size = (folder / entry.file()).stat().st_size

    def predict(inputs: NDArray[Any]) -> Outputs:
        found, carried = zip(*(_heard(run, one) for one in inputs), strict=True)
        return {"probability": np.stack(found), "carried": np.stack(carried)}

    return Network(whole_sound, predict, None, size, device="cpu")


def _heard(run: Run, given: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One input -> the probability of each of its windows, and what is carried."""
    state, sound = given[: CARRIED - CONTEXT].reshape(*STATE), given[CARRIED - CONTEXT :]
    windows = np.lib.stride_tricks.sliding_window_view(sound, CONTEXT + WINDOW)[::WINDOW]
    said, after = run(np.ascontiguousarray(windows), state)
    return said, np.concatenate([after.ravel(), sound[-CONTEXT:]])


def whole_sound(samples: NDArray[Any]) -> NDArray[np.float32]:
    """``float32 [n]``, a sound from its start on, as one input; zeros fill the last window."""
    found = np.zeros(CARRIED + max(1, -(-len(samples) // WINDOW)) * WINDOW, np.float32)
    found[CARRIED : CARRIED + len(samples)] = samples
    return found


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Any], Outputs]":
    """The published pipeline: one window after the other, each with its context, in a plain session of ONNX Runtime."""
    import onnxruntime

    file = folder / str(entry.options.get("reference", entry.file()))
    runtime = onnxruntime.InferenceSession(str(file), providers=[ON_CPU])

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


def _run(entry: ModelEntry, folder: Path) -> Run:
    """The network over windows that follow one another.

    Raises:
        ModelError: it is no ONNX file, or not of this network.
    """
    import onnxruntime

    file = folder / entry.file()
    try:
        runtime = onnxruntime.InferenceSession(str(file), session_options(1), providers=[ON_CPU])
    except Exception as error:  # onnxruntime's errors have no base class of their own
        said = " ".join(str(error).split())[:200]
        raise ModelError(f"model '{entry.name}': ONNX Runtime cannot load {file.name}: {said}") from error
    takes, gives = ([one.name for one in side()] for side in (runtime.get_inputs, runtime.get_outputs))
    if sorted(takes) != sorted(TAKES) or sorted(gives) != sorted(GIVES):
        raise ModelError(
            f"model '{entry.name}': {file.name} takes {', '.join(takes)}, and the sequence network of Silero VAD "
            f"{', '.join(TAKES)}; another network needs a family of its own"
        )

    def run(
        windows: NDArray[np.float32], state: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        hidden, cell = np.ascontiguousarray(state).reshape(2, 1, 1, -1)
        said, *after = runtime.run(GIVES, dict(zip(TAKES, (windows, hidden, cell), strict=True)))
        return said.reshape(-1), np.stack(after).reshape(state.shape)

    return run
