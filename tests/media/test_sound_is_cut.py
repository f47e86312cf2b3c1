"""The sound of a clip belongs to its pictures, within the time of one frame."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from arot_assets.media.file import Limits
from arot_assets.media.video.clip_file import Cut, Settings
from arot_assets.media.video.cut import cut_film
from arot_assets.media.video.probe import probe_film

FPS, FRAMES, FLASH, RATE = 30, 90, 45, 44_100


def film(path: Path, sound: bool = True, seconds: float = FRAMES / FPS) -> Path:
    """A film of a moving ramp with a flash, at which a tone begins that lasts to the end."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 128, 96, "yuv420p"
        heard = container.add_stream("aac", rate=RATE) if sound else None
        if heard is not None:
            heard.codec_context.layout = "stereo"
        ramp = np.arange(128, dtype=np.uint8)
        for n in range(FRAMES):
            picture = np.repeat(np.tile(np.roll(ramp, 3 * n), (96, 1))[:, :, None], 3, axis=2)
            if n == FLASH:
                picture[:] = 255
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if heard is not None:
            times = np.arange(round(seconds * RATE)) / RATE
            wave = np.where(times >= FLASH / FPS, np.sin(times * 880 * np.pi) / 2, 0).astype(np.float32)
            for start in range(0, len(wave), 1024):
                part = np.ascontiguousarray(np.tile(wave[start : start + 1024], (2, 1)))
                frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
                frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                container.mux(heard.encode(frame))
            container.mux(heard.encode(None))
    return path


def cut(path: Path, folder: Path, start: int, end: int, **settings: Any) -> dict[str, Any]:
    facts = dict(probe_film(path, path.name, Limits()).facts)
    with av.open(str(path)) as container:
        pts = [frame.pts for frame in container.decode(video=0)]
    span = Cut("clip", start, end, pts[start], pts[end], ())
    folder.mkdir(exist_ok=True)
    (row,) = cut_film(path, facts, [span], Settings(audio="keep", **settings), folder)
    return row


def flash_and_tone(path: Path) -> tuple[float, float]:
    """When the flash is shown and when the tone begins, in seconds."""
    with av.open(str(path)) as container:
        shown = [(float(f.time), f.to_ndarray(format="gray").mean()) for f in container.decode(video=0)]
    with av.open(str(path)) as container:
        parts = [(float(f.time), f.to_ndarray()) for f in container.decode(audio=0)]
    begin = min(time + np.argmax(np.abs(p[0]) > 0.2) / RATE for time, p in parts if (np.abs(p[0]) > 0.2).any())
    return max(shown, key=lambda one: one[1])[0], float(begin)


@pytest.mark.parametrize("extension", ["mp4", "mkv", "ts", "mov"])
def test_the_tone_begins_with_the_flash(extension: str, tmp_path: Path) -> None:
    source = film(tmp_path / f"film.{extension}")
    for settings in ({}, {"fps": "24"}, {"fps": "31", "timing": "retime"}):
        row = cut(source, tmp_path / "clips", 20, 75, **settings)
        assert (row["audio"], row["audio_silent"]) == ("aac", pytest.approx(0, abs=0.01)), row
        flash, tone = flash_and_tone(tmp_path / "clips" / "clip.mp4")
        assert abs(tone - flash) < 1 / FPS, (settings, flash, tone)
        assert row["audio_seconds"] == pytest.approx(row["frames_written"] / row["fps"], abs=1 / FPS)


def test_a_film_without_sound_or_with_too_little_is_told(tmp_path: Path) -> None:
    row = cut(film(tmp_path / "silent.mp4", sound=False), tmp_path / "clips", 20, 75)
    assert (row["audio"], row.get("audio_seconds")) == ("none", None)
    row = cut(film(tmp_path / "short.mp4", seconds=1.8), tmp_path / "clips", 24, 84)  # the span is 0.8 to 2.8 s
    assert row["audio_silent"] == pytest.approx(0.5, abs=0.03)
    assert row["audio_rms_db"] == pytest.approx(-17.8, abs=1)  # a tone of -9 dB, for 0.3 of 2 s


def test_retiming_shows_every_frame_once_and_refuses_more_than_5_percent(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4")
    row = cut(source, tmp_path / "clips", 10, 60, fps="29", timing="retime")
    assert row["frames_written"] == 50 and row["speed"] == pytest.approx(29 / 30) and row["repeated"] == 0
    row = cut(source, tmp_path / "clips", 10, 60, fps="24", timing="retime")
    assert row["status"] == "failed" and "0.800 times as fast" in row["reason"]
