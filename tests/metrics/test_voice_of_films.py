"""When somebody speaks in a film: a row a film, on the film's own clock, from its sound alone."""

from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.declarations import VideoDataset
from arot_assets.media.file import Limits
from arot_assets.media.video.film import measured_film
from arot_assets.media.video.probe import probe_film
from arot_assets.media.wants import Part, SoundStretch
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.listening import Listening
from arot_assets.metrics.registry import get_metric
from arot_assets.subsets.load import load_project
from resources.defaults import Resources
from resources.models.speech import CARRIED, WINDOW
from tests.models.test_voice_family import spoken, voice_models
from tests.subsets.conftest import SQL_FOLDER

SECONDS, FPS = 8, 12
BEGINS = 2.0
"""Seconds into a film at which the voice's recording is put; the voice itself begins .23 s later."""
FIRST, LAST = BEGINS + 0.226, BEGINS + 2.878
"""What silero-vad's own pipeline finds in the recording alone."""


def at_rate(rate: int) -> NDArray[np.float32]:
    """The recording at another rate, by straight lines."""
    voice = spoken()
    return np.interp(np.arange(round(len(voice) * rate / 16_000)) / rate * 16_000, np.arange(len(voice)), voice).astype(
        np.float32
    )


def film(
    path: Path,
    *tracks: NDArray[np.float32],
    rate: int = 48_000,
    late: float = 0.0,
    codec: str = "aac",
    start: float = 0.0,
) -> Path:
    """A film of eight seconds with some tracks of sound.

    Args:
        path: of the file.
        tracks: ``[channels, n]`` each.
        rate: of them.
        late: seconds after the first frame at which the sound begins.
        codec: of the sound.
        start: seconds of its own clock at which the film begins.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        heard = [container.add_stream(codec, rate=rate) for _ in tracks]
        for stream, track in zip(heard, tracks, strict=True):
            stream.codec_context.layout = "stereo" if len(track) == 2 else "mono"
        for n in range(SECONDS * FPS):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), n, np.uint8), format="rgb24")
            frame.pts, frame.time_base = n + round(start * FPS), Fraction(1, FPS)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for stream, track in zip(heard, tracks, strict=True):
            for first in range(0, track.shape[1], 1024):
                part = np.ascontiguousarray(track[:, first : first + 1024])
                sound = av.AudioFrame.from_ndarray(part, format="fltp", layout=stream.codec_context.layout.name)
                sound.sample_rate, sound.time_base = rate, Fraction(1, rate)
                sound.pts = first + round((late + start) * rate)
                container.mux(stream.encode(sound))
            container.mux(stream.encode(None))
    return path


def track(
    rate: int = 48_000, channels: int = 1, begins: float = BEGINS, seconds: float = SECONDS
) -> NDArray[np.float32]:
    """The voice in quiet noise."""
    noise = np.random.default_rng(2).standard_normal(round(seconds * rate)).astype(np.float32) / 1000
    voice = at_rate(rate)
    first = round(begins * rate)
    noise[first : first + len(voice)] += voice
    return np.tile(noise, (channels, 1))


def parts_of(path: Path, **wanted: bool) -> Iterator[Part]:
    facts = dict(probe_film(path, path.name, Limits()).facts)
    return measured_film(path, facts, **{"tables": False, "stills": False, "sound": True, **wanted})


def sound_of(path: Path, **wanted: bool) -> list[SoundStretch]:
    return [part for part in parts_of(path, **wanted) if isinstance(part, SoundStretch)]


@pytest.mark.parametrize(("rate", "channels"), [(44_100, 2), (48_000, 2), (16_000, 1)])
def test_sound_is_one_channel_on_the_films_clock(rate: int, channels: int, tmp_path: Path) -> None:
    click = np.zeros((channels, SECONDS * rate), np.float32)
    click[:, 3 * rate : 3 * rate + rate // 100] = 0.5
    pieces = sound_of(film(tmp_path / "film.mkv", click, rate=rate, codec="pcm_f32le", start=5))
    assert pieces[0].place == 0 and sum(len(one.samples) for one in pieces) == pytest.approx(SECONDS * 16_000, abs=20)
    whole = np.concatenate([one.samples for one in pieces])
    assert np.argmax(np.abs(whole) > 0.25) == pytest.approx(3 * 16_000, abs=10)
    assert np.abs(whole).max() == pytest.approx(0.5, abs=0.1), "the mean of the channels, not their sum"


def test_sound_rides_along_with_the_decode_of_everything_else(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mp4", track(channels=2))
    alone, beside = (np.concatenate([p.samples for p in sound_of(path, tables=tables)]) for tables in (False, True))
    assert np.array_equal(alone, beside)


def test_no_picture_is_decoded_for_the_sound_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from arot_assets.media.video import film as module

    def refuse(*_: object, **__: object) -> Any:
        raise AssertionError("a picture was decoded")

    path = film(tmp_path / "film.mp4", track())
    monkeypatch.setattr(module, "decoded", refuse)
    assert sound_of(path)


def test_a_long_gap_is_not_heard_and_begins_anew() -> None:
    asked: list[NDArray[np.float32]] = []

    def ask(given: NDArray[np.float32]) -> dict[str, Any]:
        asked.append(given)
        windows = (len(given) - CARRIED) // WINDOW
        return {"probability": np.ones((1, windows), np.float32), "carried": np.ones((1, CARRIED), np.float32)}

    listening = Listening(ask)
    listening.add(SoundStretch(100, np.ones(1000, np.float32)))
    listening.add(SoundStretch(1600, np.ones(500, np.float32)))  # half a thousand samples of silence
    listening.add(SoundStretch(10**9, np.ones(10, np.float32)))
    found = listening.finish(2.0)
    assert (found["samples"], found["heard"], found["seconds"]) == ([10**9 + 10], [1510], [2.0])
    assert len(asked) == 2 and [one[:CARRIED].max() for one in asked] == [0, 0]
    begun = asked[0][CARRIED:]
    assert (begun[:100].max(), begun[100:1100].min(), begun[1100:1600].max(), begun[1600:2100].min()) == (0, 1, 0, 1)
    (said,) = found["probability"]
    assert len(said) == 10**9 // WINDOW + 1 and sum(said) == 5 + 1


def test_images_have_no_sound(tmp_path: Path) -> None:
    from arot_assets.declarations.load import load_declarations

    file = tmp_path / "defs" / "pictures" / "defs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "type: arot_assets.components.ImageDataset\nattributes: {name: pictures, source: x, metrics: [phash, voice]}\n"
    )
    found = load_declarations(tmp_path / "defs")
    found.check_metrics()
    left_out = found.left_out["pictures"]
    assert list(left_out) == ["voice"]
    assert "metric 'voice' hears the sound of films; 'pictures' has images" in str(left_out["voice"])


@pytest.mark.slow
def test_a_voice_is_found_where_it_is(resources: Resources, tmp_path: Path) -> None:
    voice_models()
    source = tmp_path / "films"
    source.mkdir()
    silence, noise = np.zeros((1, SECONDS * 48_000), np.float32), track(begins=SECONDS - 3)
    spoken_films = {
        film(source / "mono.mp4", track()): 0.0,
        film(source / "stereo.mp4", track(44_100, channels=2), rate=44_100): 0.0,
        film(source / "late.mkv", track(begins=0.5, seconds=6), late=1.5): 0.0,
        film(source / "clock.ts", track(), start=7): 0.0,
        film(source / "two.mkv", track(), silence): 0.0,
    }
    film(source / "other.mkv", silence, noise)
    film(source / "silence.mp4", silence + 0)
    film(source / "none.mp4")
    damaged(film(source / "damaged.mkv", track(), codec="flac"))
    r = resources
    films = VideoDataset.model_validate(
        {"name": "films", "source": str(source), "settle_seconds": 0, "metrics": ["voice"]}
    )
    take_inventory(r.storage, r.tables, films, datetime.now(UTC))
    build_samples(r.storage, r.tables, films, "00000")
    results = build_files(r.storage, r.warehouse, r.models, films, "00000", [get_metric("voice")])
    assert not any(result.error for result in results.values())
    again = build_files(r.storage, r.warehouse, r.models, films, "00000", [get_metric("voice")])
    assert {name: result.computed for name, result in again.items()} == dict.fromkeys(again, 0)
    r.warehouse.refresh()
    with r.warehouse.connect() as con:
        rows = {
            name: dict(zip(("status", "reason", "spoken", "share", "surest", "heard", "spans"), row, strict=True))
            for name, *row in con.execute(
                """select parse_filename(uri), v.status, v.reason, speech_seconds, speech_share, max_probability, sound_seconds, spans
                from films.samples join films.voice v using (sample_id)"""
            ).fetchall()
        }
        for path in spoken_films:
            (span,) = rows[path.name]["spans"]
            assert (span["start"], span["end"]) == pytest.approx((FIRST, LAST), abs=0.1), path.name
            assert rows[path.name]["share"] == pytest.approx((LAST - FIRST) / SECONDS, abs=0.03), path.name
        assert rows["late.mkv"]["heard"] == pytest.approx(6, abs=0.1)
        for name in ("other.mkv", "silence.mp4"):
            assert (rows[name]["status"], rows[name]["spoken"], rows[name]["spans"]) == ("ok", 0, []), name
            assert rows[name]["surest"] < 0.3
        assert rows["none.mp4"] == dict.fromkeys(rows["none.mp4"]) | {"status": "ok"}
        assert rows["damaged.mkv"]["status"] == "failed" and "of its sound could" in rows["damaged.mkv"]["reason"]
        told = "select count(*), count(distinct uri) from films.decoded join films.samples using (sample_id) where decoded.status = 'ok'"
        assert con.execute(told).fetchone() == (9, 9), "the rest of a film with damaged sound is measured"
        assert con.execute("select count(voice__speech_share) from films.wide").fetchone() == (7,)
        clips(con, tmp_path)


def clips(con: Any, folder: Path) -> None:
    """The share of speech of pieces of films, by SQL."""
    con.execute(
        """create temp table pieces as select parse_filename(uri) || k as clip_id, sample_id,
            first_pts + ((a * (end_pts - first_pts)) // 8) as start_pts, first_pts + ((b * (end_pts - first_pts)) // 8) as end_pts
        from films.samples, (values (0, 0, 2), (1, 2, 4), (2, 0, 8)) t(k, a, b)"""
    )
    found = {row[0]: row[1:] for row in con.execute(compiled(folder)).fetchall()}
    assert len(found) == 27
    assert found["mono.mp40"] == (0, 0, 0, False)
    seconds, share, longest, is_cut = found["mono.mp41"]
    assert (seconds, share, longest) == pytest.approx((4 - FIRST, (4 - FIRST) / 2, 4 - FIRST), abs=0.1) and is_cut
    assert found["mono.mp42"][1] == pytest.approx((LAST - FIRST) / 8, abs=0.03) and not found["mono.mp42"][3]
    assert found["silence.mp42"] == (0, 0, 0, False)
    assert found["none.mp40"] == found["damaged.mkv1"] == (None, None, None, None)


def damaged(path: Path) -> Path:
    """Overwrite the packets of sound, not those of the picture."""
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    content = path.read_bytes()
    for packet in packets:
        content = content.replace(packet, bytes(255 - byte for byte in packet), 1)
    path.write_bytes(content)
    return path


def compiled(folder: Path) -> str:
    files = {
        "dbt_project.yml": "name: small\nprofile: small\n",
        "models/sources.yml": "sources: [{name: films, tables: [{name: samples}, {name: voice}]}]",
        "models/found.sql": "select * from {{ clip_voice('pieces', source('films', 'voice'), source('films', 'samples')) }}",
        "macros/films.sql": (SQL_FOLDER / "macros" / "films.sql").read_text(),
    }
    for name, text in files.items():
        (folder / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "project" / name).write_text(text)
    return load_project(folder / "project").compile("found")
