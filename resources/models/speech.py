"""From probabilities of speech, window by window, to spans of speech.

Belongs here: the rule by which spans begin and end, and what a film's row says of them. Does not belong here: the probabilities
(``families/voice.py``), how sound reaches them (``arot_assets.metrics.listening``).

The rule is that of ``get_speech_timestamps`` of Silero VAD 6.2 (github.com/snakers4/silero-vad) without a longest span: speech
begins at a window of the threshold or more, and ends where a pause begins that lasts; a pause begins at a window below a lower
threshold, and is over at one of the threshold or more.
"""

from collections.abc import Sequence
from typing import Any

from resources.models.outputs import Speech

RATE, WINDOW, CONTEXT = 16_000, 512, 64
"""Samples a second, of a window, and of the sound before it, that a network of speech hears at a time."""
STATE = (2, 128)
"""Layers and numbers of its state."""
CARRIED = STATE[0] * STATE[1] + CONTEXT
"""Numbers that it carries from one stretch of sound to the next."""


def spans_of(output: Speech, probabilities: Sequence[float], samples: int) -> list[tuple[int, int]]:
    """The spans in which somebody speaks, in samples: start and end of each, in order.

    Args:
        output: the thresholds.
        probabilities: of each window.
        samples: of the sound, which may end within the last window.
    """
    least_speech, least_silence = (
        milliseconds * output.rate / 1000 for milliseconds in (output.least_speech_ms, output.least_silence_ms)
    )
    found: list[tuple[int, int]] = []
    start: int | None = None
    pause: int | None = None
    for k, probability in enumerate(probabilities):
        now = k * output.window
        if probability >= output.threshold:
            start, pause = now if start is None else start, None
        elif start is not None and probability < output.leave:
            pause = now if pause is None else pause
            if now - pause >= least_silence:
                found.append((start, pause))
                start = pause = None
    if start is not None:
        found.append((start, samples))
    return _padded([span for span in found if span[1] - span[0] > least_speech], output, samples)


def _padded(spans: list[tuple[int, int]], output: Speech, samples: int) -> list[tuple[int, int]]:
    """Spans made longer at both ends; two that are close share the pause between them."""
    pad = output.pad_ms * output.rate / 1000
    starts, ends = [start for start, _ in spans], [end for _, end in spans]
    for k in range(len(spans)):
        if k == 0:
            starts[0] = int(max(0, starts[0] - pad))
        if k + 1 == len(spans):
            ends[k] = int(min(samples, ends[k] + pad))
            continue
        between = starts[k + 1] - ends[k]
        near = between < 2 * pad
        ends[k] = ends[k] + between // 2 if near else int(ends[k] + pad)
        starts[k + 1] = starts[k + 1] - between // 2 if near else int(starts[k + 1] - pad)
    return list(zip(starts, ends, strict=True))


def row_of_speech(
    output: Speech, probabilities: Sequence[float] | None, samples: int, heard: int, seconds: float | None
) -> tuple[Any, ...]:
    """The columns of a film, in their order.

    Args:
        output: the thresholds.
        probabilities: of each window from the start of the film on; None for a film without sound, whose columns are null.
        samples: from the start of the film to the end of its sound.
        heard: samples that there are; fewer where sound begins late or has gaps.
        seconds: of the film; None where it is not known, then those of the sound.
    """
    if probabilities is None:
        return (None,) * 5
    spans = [{"start": a / output.rate, "end": b / output.rate} for a, b in spans_of(output, probabilities, samples)]
    spoken = sum(span["end"] - span["start"] for span in spans)
    whole = seconds or samples / output.rate
    share = min(1.0, spoken / whole) if whole else 0.0
    return spoken, share, max(probabilities, default=0.0), heard / output.rate, spans
