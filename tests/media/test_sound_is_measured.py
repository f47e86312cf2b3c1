"""Levels of the sound of films, tenth by tenth of a second, from the decode that measures everything else."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from arot_assets.media.file import Limits
from arot_assets.media.video.film import measured_film
from arot_assets.media.video.loudness import Loudness, filters
from arot_assets.media.video.probe import probe_film
from arot_assets.media.wants import ChildRows
from tests.media.test_sound_is_cut import FLASH, FPS, FRAMES, film


def levels(path: Path) -> list[dict[str, Any]]:
    facts = dict(probe_film(path, path.name, Limits()).facts)
    parts = measured_film(path, facts, tables=True, stills=False)
    return [dict(row) for part in parts if isinstance(part, ChildRows) and part.table == "sound" for row in part.rows]


def of_sine(rate: int, layout: str, amplitude: float, hertz: float = 997.0) -> list[dict[str, Any]]:
    loudness = Loudness(Fraction(0))
    wave = (amplitude * np.sin(np.arange(rate * 2) / rate * 2 * np.pi * hertz)).astype(np.float32)
    for start in range(0, len(wave), 1000):
        channels = 2 if layout == "stereo" else 1
        part = np.ascontiguousarray(np.tile(wave[start : start + 1000], (channels, 1)))
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        loudness.add(frame)
    loudness.finish()
    return loudness.rows()


def test_filters_are_those_of_the_standard() -> None:
    head, ear = filters(48_000)
    table_1 = [1.53512485958697, -2.69169618940638, 1.19839281085285, -1.69065929318241, 0.73248077421585]
    table_2 = [1.0, -2.0, 1.0, -1.99004745483398, 0.99007225036621]
    assert head == pytest.approx(table_1, abs=1e-6) and ear == pytest.approx(table_2, abs=1e-6)


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_a_sine_has_the_loudness_that_the_standard_gives_it(rate: int) -> None:
    rows = of_sine(rate, "mono", 1.0)
    assert [row["n"] for row in rows] == list(range(20)) and {row["heard"] for row in rows} == {1.0}
    assert [row["loudness"] for row in rows[2:]] == pytest.approx([-3.01] * 18, abs=0.15)
    assert [row["rms_db"] for row in rows] == pytest.approx([-3.01] * 20, abs=0.1)
    both = of_sine(rate, "stereo", 0.1)
    assert both[9]["loudness"] == pytest.approx(-20, abs=0.15) and both[9]["rms_db"] == pytest.approx(-23.01, abs=0.1)


def test_a_tone_is_heard_where_it_is_and_silence_has_no_level(tmp_path: Path) -> None:
    rows = levels(film(tmp_path / "film.mp4"))
    begins = FLASH * 10 // FPS
    assert [row["n"] for row in rows][:30] == list(range(30))
    assert all(row["rms_db"] is None or row["rms_db"] < -60 for row in rows[: begins - 1])
    assert [row["rms_db"] for row in rows[begins + 1 : 29]] == pytest.approx([-9.03] * (28 - begins), abs=0.3)
    assert [row["peak_db"] for row in rows[begins + 1 : 29]] == pytest.approx([-6.02] * (28 - begins), abs=0.5)


def test_sound_that_begins_late_ends_early_or_is_not_there(tmp_path: Path) -> None:
    assert levels(film(tmp_path / "silent.mp4", sound=False)) == []
    short = levels(film(tmp_path / "short.mp4", seconds=1.8))
    assert {row["n"] for row in short} <= set(range(20)) and FRAMES / FPS == 3
    loudness = Loudness(Fraction(1))  # the first frame is shown a second after the clock began
    quiet = np.full((1, 4800), 0.5, np.float32)
    for start in (0, 43_200, 52_800, 96_000):  # before it, around its tenths 0 and 1, and after a gap
        frame = av.AudioFrame.from_ndarray(quiet, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
        loudness.add(frame)
    loudness.finish()
    assert [(row["n"], row["heard"]) for row in loudness.rows()] == [(1, 1.0), (10, 1.0)]
