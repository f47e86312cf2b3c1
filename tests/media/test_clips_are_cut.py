"""A clip has exactly the frames of its span, and its file proves it."""

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from arot_assets.media.file import Limits
from arot_assets.media.video import isolated
from arot_assets.media.video.clip_file import Cut, Settings
from arot_assets.media.video.colour import FrameAppearance, rgb_of
from arot_assets.media.video.cut import cut_film, framed, own_rate, shown_crop
from arot_assets.media.video.decode import decoded
from arot_assets.media.video.grid import Grid
from arot_assets.media.video.probe import probe_film
from resources.scratch import ScratchError
from tests.conftest import DATA

FILMS = DATA / "films"
HARD = (
    *("vfr_numbers.mp4", "vfr_numbers.mkv", "opengop_hevc.mp4", "opengop_b.mp4", "editlist.mp4", "mpeg4_b.avi"),
    *("start_offset.ts", "gap.mkv", "vp9.webm", "av1.mp4", "ntsc_audio.mp4", "intra_only.mov", "copy_c.mp4"),
)
"""Films with burnt-in frame numbers, each of which makes other ways of cutting fail."""


class Film:
    """A film with the PTS and CRC of each frame, as the first decode stores them."""

    def __init__(self, name: str, folder: Path = FILMS) -> None:
        self.path = folder / name
        self.facts = dict(probe_film(self.path, name, Limits()).facts)
        self.look = FrameAppearance.of(self.facts)
        grid: Grid | None = None
        self.pts: list[int] = []
        self.crcs: list[int] = []
        for frame in decoded(self.path, interlaced=bool(self.facts["interlaced_flag"])):
            grid = grid or Grid(frame.frame.width, frame.frame.height, self.look)
            self.pts.append(frame.pts)
            self.crcs.append(grid.cells(frame.frame).crc)

    def span(self, start: int, end: int) -> Cut:
        ends = self.pts[end] if end < len(self.pts) else self.facts["end_pts"]
        return Cut(f"{start}-{end}", start, end, self.pts[start], ends, tuple(self.crcs[start:end]))

    def cut(self, folder: Path, *cuts: Cut, **settings: Any) -> list[dict[str, Any]]:
        return sorted(
            cut_film(self.path, self.facts, cuts, Settings(**settings), folder), key=lambda row: row["first_n"]
        )


@pytest.mark.parametrize("name", HARD)
def test_random_clips_have_the_frames_that_are_meant(name: str, tmp_path: Path) -> None:
    film, random = Film(name), np.random.default_rng(len(name))
    last = len(film.pts)
    spans: set[tuple[int, int]] = set()
    while len(spans) < 8:
        start = int(random.integers(0, last - 12))
        spans.add((start, int(random.integers(start + 8, min(last, start + 30) + 1))))
    cuts = [film.span(*span) for span in sorted(spans)]
    rows = {row["clip_id"]: row for row in film.cut(tmp_path, *cuts)}
    for cut in cuts:
        row = rows[cut.clip_id]
        assert (row["status"], row["source_crc_wrong"], row["first_n"]) == ("ok", 0, cut.start_n), row
        assert row["frames_written"] == row["frames_planned"] and row["psnr_first"] > 35
        if not film.facts["is_vfr"] and name != "gap.mkv":
            assert row["last_n"] == cut.end_n - 1 and row["frames_written"] == cut.end_n - cut.start_n


def test_a_film_that_changed_since_it_was_decoded_fails_its_clips(tmp_path: Path) -> None:
    film = Film("opengop_b.mp4")
    moved = Cut("moved", 20, 30, film.pts[20], film.pts[30], tuple(film.crcs[21:31]))
    (row,) = film.cut(tmp_path, moved)
    assert row["status"] == "failed" and "differ from those of the first decode" in row["reason"]


def test_repeated_frames_are_left_out_before_a_rate_is_reached(tmp_path: Path) -> None:
    film = Film("dup_24in60.mp4")
    fine = film.span(0, 120)
    repeated = [5.0 if n % 5 in (0, 3) else 0.01 for n in range(120)]  # two of five are new: 24 in 60
    (row,) = film.cut(tmp_path, replace(fine, changes=tuple(repeated)), fps="24")
    assert (row["repeats_dropped"], row["frames_planned"], row["repeated"]) == (72, 48, 0)
    still = replace(fine, changes=(5.0, *[0.01] * 119))  # too few for any rate: they stay
    (row,) = film.cut(tmp_path, still, fps="24")
    assert (row["repeats_dropped"], row["status"]) == (0, "ok")


def test_a_rate_is_reached_by_the_nearest_frame_and_a_bucket_by_leaving_frames_out(tmp_path: Path) -> None:
    film = Film("dup_24in60.mp4")
    (row,) = film.cut(tmp_path, film.span(0, 120), fps="24", frames_step=8)
    assert row["frames_planned"] == 41 and row["repeated"] == 0 and row["fps"] == 24.0
    with av.open(str(tmp_path / "0-120.mp4")) as clip:
        stream = clip.streams.video[0]
        assert stream.average_rate == 24 and stream.codec_context.pix_fmt == "yuv420p"
        packets = [p for p in clip.demux(stream) if p.size]
        assert [float(p.pts * p.time_base * 24) for p in packets] == pytest.approx(
            range(41)
        )  # no frame is shown out of order
        assert {int(stream.codec_context.colorspace), int(stream.codec_context.color_range)} == {1}


def test_pictures_are_upright_square_and_without_bars(tmp_path: Path) -> None:
    turned = Film("rotated_90.mp4")
    (row,) = turned.cut(tmp_path, turned.span(0, 12))
    assert (row["width"], row["height"]) == (144, 256)
    boxed = Film("windowbox_subs.mp4")
    (row,) = boxed.cut(tmp_path, boxed.span(0, 13), crop=(20, 20, 16, 16))
    assert (row["width"], row["height"]) == (224, 104) and row["status"] == "ok"
    (row,) = boxed.cut(tmp_path, boxed.span(0, 14), crop=(20, 20, 16, 16), width=96, height=96)
    assert (row["width"], row["height"]) == (96, 96)


def test_bars_turn_with_the_picture() -> None:
    def look(rotation: int, mirrored: bool = False) -> FrameAppearance:
        return FrameAppearance(rotation, mirrored, Fraction(1), "bt709", False, None)

    stored = np.zeros((40, 60, 3), np.uint8)
    stored[4:, : 60 - 10] = 200  # bars of 4 at the top, 10 at the right
    crop = (4, 0, 0, 10)
    for rotation in (0, 90, 180, 270):
        for mirrored in (False, True):
            shown = np.rot90(stored[:, ::-1] if mirrored else stored, rotation // 90)
            picture = framed(np.ascontiguousarray(shown), Settings(crop=crop), look(rotation, mirrored))
            assert picture.min() == 200
    assert shown_crop(crop, look(90)) == (10, 0, 4, 0)


def test_the_rate_of_a_film_is_what_its_time_stamps_say() -> None:
    assert own_rate({"median_fps": 29.97, "r_fps": "30000/1001"}) == Fraction(30000, 1001)
    assert own_rate({"median_fps": 23.81, "r_fps": "24"}) == 24  # WebM rounds to milliseconds
    assert own_rate({"median_fps": 12.0, "r_fps": "30"}) == 12


def test_colours_are_those_of_the_tags() -> None:
    def picture(name: str) -> np.ndarray:
        film = Film(name)
        return rgb_of(next(iter(decoded(film.path))).frame, film.look).astype(float)

    plain = picture("copy_a.mp4")
    assert 5 < plain.std() < 120
    hdr, sdr = picture("hdr10.mp4"), np.rot90(picture("rotated_180.mp4"), 2)
    assert hdr.shape == sdr.shape and np.abs(hdr - sdr).mean() < 7  # white at 203 nits is the same picture
    full = picture("full_range.mp4")
    assert full.min() < 60 and full.max() > 180


def test_a_full_disk_is_no_fault_of_the_film(small_disk: Path) -> None:
    film = Film("opengop_b.mp4")
    with suppress(OSError):
        (small_disk / "filler").write_bytes(bytes(1 << 21))
    with pytest.raises(ScratchError, match="No space left on device; free some space"):
        list(isolated.cut(film.path, film.facts, [film.span(0, 30)], Settings(), small_disk))
