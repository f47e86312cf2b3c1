"""What hostile films become: a row that says what it is, upright and whole pictures, never an exception."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from arot_assets.media.file import File, Limits
from arot_assets.media.video import probe as probing
from arot_assets.media.video.colour import FrameAppearance, rgb_of
from arot_assets.media.video.decode import COMBED, decoded, planes
from arot_assets.media.video.film import measured_film
from arot_assets.media.video.kernels import combing
from arot_assets.media.video.medium import VIDEO
from arot_assets.media.video.poster import _each_at
from arot_assets.media.video.probe import probe_film
from arot_assets.media.wants import ChildRows
from tests.conftest import DATA
from tests.media.test_clips_are_cut import Film
from tests.media.test_sound_is_cut import film

FILMS = DATA / "films"


def measured(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Table -> its rows of a film."""
    rows: dict[str, list[dict[str, Any]]] = {}
    facts = probe_film(path, path.name, Limits()).facts
    for part in measured_film(path, facts, tables=True, stills=False):
        if isinstance(part, ChildRows):
            rows.setdefault(part.table, []).extend(part.rows)
    return rows


def pictures(path: Path) -> Iterator[np.ndarray]:
    """Each frame as it is shown."""
    facts = probe_film(path, path.name, Limits()).facts
    for frame in decoded(path, interlaced=bool(facts["interlaced_flag"])):
        yield rgb_of(frame.frame, FrameAppearance.of(facts)).astype(float)


def patched(source: Path, path: Path, box: bytes, offset: int, data: bytes) -> Path:
    """A copy of a film with other bytes in its header, counted from the name of a box."""
    content = bytearray(source.read_bytes())
    at = content.rindex(box) + offset
    content[at : at + len(data)] = data
    path.write_bytes(content)
    return path


def test_a_file_with_sound_alone_is_unsupported(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as out, av.open(str(FILMS / "ntsc_audio.mp4")) as source:
        stream = out.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    found = probe_film(path, path.name, Limits())
    assert (found.status, found.reason) == ("unsupported", "no video stream")


def test_a_film_whose_index_was_cut_off_is_corrupt(tmp_path: Path) -> None:
    whole = (FILMS / "opengop_b.mp4").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: whole.rindex(b"moov") - 4])
    found = probe_film(path, path.name, Limits())
    assert found.status == "corrupt" and str(found.reason).startswith("cannot be opened: ")


def test_a_stream_that_ends_within_a_packet_is_used_and_noted() -> None:
    path = FILMS / "truncated.ts"
    found = probe_film(path, path.name, Limits())
    assert (found.status, found.notes, found.facts["frames_expected"]) == ("ok", ("truncated",), 72)
    assert "truncated" not in probe_film(FILMS / "start_offset.ts", "start_offset.ts", Limits()).notes


@pytest.mark.parametrize(
    ("name", "notes"),
    [
        ("damaged_middle.mp4", ["damaged"]),
        ("interlaced.ts", ["interlaced"]),
        ("interlaced_unflagged.mp4", ["interlaced"]),
        ("windowbox_subs.mp4", ["text_in_bar"]),
        ("pillarbox.mp4", []),
    ],
)
def test_what_only_decoding_tells_is_a_note_of_decoded(name: str, notes: list[str]) -> None:
    (row,) = measured(FILMS / name)["decoded"]
    assert row["notes"] == notes and row["is_interlaced"] == ("interlaced" in notes)


def test_damage_reaches_from_the_refused_packet_to_the_next_key_frame() -> None:
    rows = measured(FILMS / "damaged_middle.mp4")
    damaged = [row["n"] for row in rows["frames"] if row["damaged"]]
    keys = [row["n"] for row in rows["frames"] if row["key"]]
    assert damaged == list(range(62, min(n for n in keys if n > 62)))


@pytest.mark.parametrize(
    ("name", "crop"), [("pillarbox.mp4", (0, 0, 32, 32)), ("windowbox_subs.mp4", (20, 20, 16, 16))]
)
def test_bars_are_found_to_the_pixel(name: str, crop: tuple[int, ...]) -> None:
    (row,) = measured(FILMS / name)["decoded"]
    assert tuple(row[f"crop_{side}"] for side in ("top", "bottom", "left", "right")) == crop


@pytest.mark.parametrize("name", ["dup_24in60.mp4", "copy_c.mp4"])
def test_repeated_frames_do_not_count_for_the_rate(name: str) -> None:
    (row,) = measured(FILMS / name)["decoded"]
    assert row["unique_fps"] == pytest.approx(24, abs=0.2)


@pytest.mark.parametrize("name", ["interlaced.ts", "interlaced_unflagged.mp4"])
def test_fields_are_frames_before_anything_is_measured_shown_or_cut(name: str, tmp_path: Path) -> None:
    path = FILMS / name
    with av.open(str(path)) as raw:
        assert np.median([combing(*planes(frame)[0]) for frame in raw.decode(video=0)]) > COMBED
    rows = measured(path)
    assert len(rows["frames"]) == 96 and max(row["comb"] for row in rows["stills"]) < 1
    cut = Film(name)
    (clip,) = cut.cut(tmp_path, cut.span(8, 40))
    assert clip["status"] == "ok"
    with av.open(str(tmp_path / "8-40.mp4")) as made:
        assert max(combing(*planes(frame)[0]) for frame in made.decode(video=0)) < COMBED
    for fps in (None, 1.0):
        shown = VIDEO.moments(File.of(name, path), 4, fps)  # as captions get them
        luma = [picture.astype(float).mean(axis=2).astype(np.uint8) for picture in shown]
        assert len(shown) == 4 and max(combing(np.ascontiguousarray(y), y.shape[1]) for y in luma) < COMBED


FLIPS = {
    "left and right": ((-65536, 0, 0, 65536), lambda rgb: rgb[:, ::-1]),
    "above and below": ((65536, 0, 0, -65536), lambda rgb: rgb[::-1]),
    "one diagonal": ((0, 65536, 65536, 0), lambda rgb: rgb.transpose(1, 0, 2)),
    "the other diagonal": ((0, -65536, -65536, 0), lambda rgb: rgb[::-1, ::-1].transpose(1, 0, 2)),
}


@pytest.mark.parametrize("flip", sorted(FLIPS))
def test_mirrored_film_is_shown_measured_and_cut_as_a_player_shows_it(flip: str, tmp_path: Path) -> None:
    (a, b, c, d), turn = FLIPS[flip]
    matrix = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path = patched(FILMS / "copy_a.mp4", tmp_path / "flipped.mp4", b"tkhd", 44, matrix)
    plain, flipped = next(pictures(FILMS / "copy_a.mp4")), next(pictures(path))
    assert np.array_equal(flipped, turn(plain))
    facts = probe_film(path, path.name, Limits()).facts
    assert (facts["height"], facts["width"]) == flipped.shape[:2]
    (shown,) = VIDEO.moments(File.of(path.name, path), 1)
    assert shown.shape == flipped.shape
    cut = Film(path.name, tmp_path)
    cut.cut(tmp_path, cut.span(0, 12))
    assert np.abs(next(pictures(tmp_path / "0-12.mp4")) - flipped).mean() < 6


def test_pixels_are_made_square_and_sizes_even_only_in_clips(tmp_path: Path) -> None:
    for name, size in (("anamorphic.mp4", (144, 256)), ("odd_size.mkv", (143, 255))):
        assert next(pictures(FILMS / name)).shape[:2] == size
    odd = Film("odd_size.mkv")
    (row,) = odd.cut(tmp_path, odd.span(0, 12))
    assert (row["status"], row["width"], row["height"]) == ("ok", 254, 142)


def test_the_matrix_and_range_of_colours_are_those_of_the_tags_or_of_the_size() -> None:
    def blocks(name: str) -> np.ndarray:
        return next(pictures(FILMS / name)).reshape(9, 16, 16, 16, 3).mean(axis=(1, 3))

    # the same picture: the other matrix is 3 levels off, the other range 7
    assert np.abs(blocks("full_range.mp4") - blocks("bt601_untagged.mp4")).mean() < 2


def two_streams(path: Path, sizes: tuple[tuple[int, int], ...], default: int | None) -> Path:
    with av.open(str(path), "w") as out:
        streams = []
        for k, (width, height) in enumerate(sizes):
            stream = out.add_stream("libx264", rate=24)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.disposition = 1 if k == default else 0  # type: ignore[assignment]
            streams.append(stream)
        for _ in range(12):
            for stream in streams:
                picture = av.VideoFrame.from_ndarray(np.zeros((stream.height, stream.width, 3), np.uint8), "rgb24")
                out.mux(stream.encode(picture))
        for stream in streams:
            out.mux(stream.encode(None))
    return path


def test_of_several_streams_the_default_counts_and_else_the_largest(tmp_path: Path) -> None:
    sizes = ((64, 48), (128, 96))
    for default, width in ((0, 64), (None, 128)):
        path = two_streams(tmp_path / f"{width}.mkv", sizes, default)
        found = probe_film(path, path.name, Limits())
        assert "several_streams" in found.notes and found.facts["n_video_streams"] == 2
        assert found.facts["width"] == width
    assert probe_film(FILMS / "cover_art.mp4", "cover_art.mp4", Limits()).facts["n_video_streams"] == 1


@pytest.mark.parametrize("name", ["opengop_b.mp4", "opengop_hevc.mp4", "editlist.mp4"])
def test_pictures_after_a_seek_are_those_of_a_decode_from_the_beginning(name: str) -> None:
    path = FILMS / name
    facts = probe_film(path, name, Limits()).facts
    straight = {frame.pts: planes(frame.frame)[0][0].copy() for frame in decoded(path)}
    wanted = sorted(straight)[::3]
    for pts, frame in zip(wanted, _each_at(path, facts, wanted), strict=True):
        assert frame.pts == pts and np.array_equal(planes(frame)[0][0], straight[pts])


def test_a_header_that_promises_too_much_is_refused_before_anything_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probing, "_first_frame", lambda *_: pytest.fail("it was decoded"))
    source = film(tmp_path / "plain.mp4", sound=False)
    many = patched(source, tmp_path / "many.mp4", b"stts", 12, struct.pack(">I", 10**9))
    matroska = film(tmp_path / "plain.mkv", sound=False)
    long = patched(matroska, tmp_path / "long.mkv", b"\x44\x89\x88", 3, struct.pack(">d", 20 * 3600 * 1000))
    for path, limits, words in (
        (many, Limits(), "promises 1,000,000,000 frames"),
        (long, Limits(), "max_hours"),
        (source, Limits(megapixels=0.01), "max_megapixels"),
    ):
        found = probe_film(path, path.name, limits)
        assert found.status == "unsupported" and words in str(found.reason), found
