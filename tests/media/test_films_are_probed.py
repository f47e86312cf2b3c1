"""Every film of the samples is one row that says what it is, and no file makes FFmpeg open another."""

import csv
import io
import os
import shutil
import signal
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from arot_assets.datasets.changes import plan
from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.objects import LISTED
from arot_assets.datasets.samples import build_samples
from arot_assets.declarations import VideoDataset
from arot_assets.media.file import DecodeError, File, Limits
from arot_assets.media.video import isolated
from arot_assets.media.video.columns import COLUMNS
from arot_assets.media.video.medium import VIDEO
from arot_assets.media.video.probe import probe_film
from arot_assets.media.video.tags import orientation
from arot_assets.media.wants import TABLES
from resources.defaults import Resources
from resources.storage import StorageError
from resources.tables import TableRef
from tests.conftest import DATA

FILMS = DATA / "films"
TRUTH = {row["file"]: row for row in csv.DictReader((FILMS / "videos.csv").read_text().splitlines())}


def probed(name: str, limits: Limits | None = None) -> Any:
    return probe_film(FILMS / name, name, limits or Limits())


@pytest.mark.parametrize("name", sorted(TRUTH))
def test_facts_are_those_of_the_truth(name: str) -> None:
    truth, found = TRUTH[name], probed(name)
    assert found.status == truth["expected"]
    assert set(found.facts) <= {column.name for column in COLUMNS}
    if found.status == "ok":
        assert [found.facts["width"], found.facts["height"]] == [int(truth["width"]), int(truth["height"])]
        damaged = name == "damaged_middle.mp4"  # one packet is refused, which only decoding tells
        assert found.facts["frames_expected"] == int(truth["frames_decoded"]) + damaged
        assert found.facts["seconds"] == pytest.approx(float(truth["seconds"]), abs=0.1)


@pytest.mark.parametrize(
    ("name", "note"),
    [
        ("editlist.mp4", "edit_list"),
        ("vfr_numbers.mkv", "vfr"),
        ("vfr_numbers.mp4", "vfr"),
        ("gap.mkv", "gap"),
        ("size_changes.ts", "pts_goes_back"),
        ("wrong_name.avi", "extension_mismatch"),
        ("hdr10.mp4", "hdr"),
        ("interlaced.ts", "interlaced"),
        ("cover_art.mp4", "cover"),
        ("bt601_untagged.mp4", "colour_untagged"),
    ],
)
def test_what_is_worth_knowing_is_a_note(name: str, note: str) -> None:
    assert note in probed(name).notes


def test_orientation_shape_and_colour_are_told() -> None:
    assert [probed(f"rotated_{d}.mp4").facts["rotation"] for d in (90, 180, 270)] == [90, 180, 270]
    assert probed("anamorphic.mp4").facts["sar"] == "4:3"
    assert probed("full_range.mp4").facts["full_range"]
    hdr = probed("hdr10.mp4").facts
    assert (hdr["hdr"], hdr["bit_depth"], hdr["colour_matrix"]) == ("pq", 10, "bt2020nc")
    mirror = struct.pack("<9i", -65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
    assert orientation(mirror) == (0, True) and orientation(None) == (0, False)


def test_times_are_those_of_the_stream() -> None:
    ts = probed("start_offset.ts").facts
    assert (ts["first_pts"], ts["time_base"], ts["seconds"]) == (450000, "1/90000", 5.0)
    ntsc = probed("ntsc_audio.mp4").facts
    assert ntsc["r_fps"] == "30000/1001" and ntsc["audio_codec"] == "aac" and ntsc["audio_seconds"] > 4.4


def test_a_film_that_ends_before_its_index_says_is_corrupt_unless_it_is_to_be_salvaged(tmp_path: Path) -> None:
    first = tmp_path / "index_first.mp4"
    with (
        av.open(str(FILMS / "opengop_b.mp4")) as film,
        av.open(str(first), "w", options={"movflags": "faststart"}) as out,
    ):
        stream = out.add_stream_from_template(film.streams.video[0])
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    whole = first.read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole[: len(whole) // 2])
    found = probe_film(cut, "cut.mp4", Limits())
    assert found.status == "corrupt" and "of 120 frames; `salvage: true`" in str(found.reason)
    saved = probe_film(cut, "cut.mp4", Limits(salvage=True))
    assert saved.status == "ok" and "truncated" in saved.notes and 20 < saved.facts["frames_expected"] < 120


def test_limits_are_those_of_the_header() -> None:
    assert "over the limit of 0.01 megapixels" in str(probed("av1.mp4", Limits(0.01)).reason)
    long = probed("slideshow.mp4", Limits(hours=0.001))
    assert long.status == "unsupported" and "max_hours" in str(long.reason)


@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile {other}\n", "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{other}\n#EXT-X-ENDLIST\n"],
)
def test_a_text_that_names_other_files_opens_none_of_them(tmp_path: Path, text: str) -> None:
    other = tmp_path / "secret.ts"
    shutil.copyfile(FILMS / "start_offset.ts", other)
    trap = tmp_path / "trap.mp4"
    trap.write_text(text.format(other=other.name))
    found = probe_film(trap, "trap.mp4", Limits())
    assert found.status == "corrupt" and str(found.reason).startswith("cannot be opened")


def test_an_empty_file_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "zero.mp4").touch()
    assert probe_film(tmp_path / "zero.mp4", "zero.mp4", Limits()).reason == "cannot be opened: the file is empty"


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[isolated.Workers]:
    own = isolated.Workers()
    monkeypatch.setattr(isolated, "WORKERS", own)
    yield own
    own.close()


def test_a_decoder_that_hangs_or_dies_costs_its_own_film_only(
    workers: isolated.Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = FILMS / "cuts_hard.mp4"
    facts = isolated.probe(path, path.name, Limits()).facts
    for blow, words in ((signal.SIGSTOP, "decoder stalled"), (signal.SIGSEGV, "SIGSEGV")):
        monkeypatch.setattr(isolated, "STALL_SECONDS", 120.0)
        isolated.probe(path, path.name, Limits())  # a process waits
        monkeypatch.setattr(isolated, "STALL_SECONDS", 1.0 if blow == signal.SIGSTOP else 120.0)
        (idle,) = workers._idle
        os.kill(idle.pid, blow)
        with (
            pytest.raises(StorageError, match=words),
            VIDEO.open(File(path.name, lambda: path, facts), frozenset({TABLES}), Limits()) as view,
        ):
            list(view.parts())
    monkeypatch.setattr(isolated, "STALL_SECONDS", 120.0)
    assert isolated.probe(path, path.name, Limits()).status == "ok"


def test_errors_cross_the_process_and_leave_it_at_work(workers: isolated.Workers) -> None:
    path = FILMS / "not_a_video.mp4"
    assert isolated.probe(path, path.name, Limits()).status == "corrupt"
    with pytest.raises(DecodeError, match="cannot be opened"):
        list(isolated.measured(path, {"time_base": "1/1000"}, tables=True, stills=False))
    assert len(workers._idle) == 1


def test_a_poster_is_upright_and_small() -> None:
    path = FILMS / "rotated_90.mp4"
    strip = VIDEO.poster(File.of(path.name, path), 100)
    assert max(strip.shape) <= 100 and strip.shape[1] > strip.shape[0]  # three upright pictures side by side


def test_a_strip_shows_the_first_the_middle_and_the_last_picture() -> None:
    path = FILMS / "cuts_jump.mp4"
    strip = VIDEO.poster(File.of(path.name, path), 200).astype(float)
    high = (strip.shape[0] - 4) // 3
    parts = [strip[k * (high + 2) : k * (high + 2) + high] for k in range(3)]
    assert all(abs(a - b).mean() > 5 for a, b in ((parts[0], parts[1]), (parts[1], parts[2]), (parts[0], parts[2])))


def test_a_preview_moves() -> None:
    path = FILMS / "camera.mp4"
    moving = VIDEO.preview(File.of(path.name, path), 96)
    assert moving is not None and len(moving) < 60_000
    with Image.open(io.BytesIO(moving)) as shown:
        assert shown.n_frames > 10 and max(shown.size) <= 96  # type: ignore[attr-defined]


def test_a_folder_of_films_is_a_dataset(resources: Resources, tmp_path: Path) -> None:
    source = tmp_path / "films"
    source.mkdir()
    for name in ("cuts_jump.mp4", "wrong_name.avi", "not_a_video.mp4", "vp9.webm"):
        shutil.copyfile(FILMS / name, source / name)
    (source / "vp9.txt").write_text("a drawing that moves")
    films = VideoDataset.model_validate({"name": "films", "source": str(source), "settle_seconds": 0})
    r = resources
    take_inventory(r.storage, r.tables, films, datetime.now(UTC))
    build_samples(r.storage, r.tables, films, "00000")
    rows = {Path(row["uri"]).name: row for row in r.tables.read(TableRef("films", "samples", "00000")).to_pylist()}
    assert {name: row["status"] for name, row in rows.items()} == {
        "cuts_jump.mp4": "ok",
        "wrong_name.avi": "duplicate",
        "not_a_video.mp4": "corrupt",
        "vp9.webm": "ok",
    }
    assert rows["vp9.webm"]["caption"] == "a drawing that moves" and rows["vp9.webm"]["codec"] == "vp9"
    assert rows["wrong_name.avi"]["notes"] == ["extension_mismatch"]


def test_shards_end_by_number_or_by_bytes() -> None:
    sizes = [4, 4, 4, 20, 1, 1, 1, 1]
    objects = pa.Table.from_pylist(
        [{"uri": f"{k}.mp4", "size": size, "sidecars": []} for k, size in enumerate(sizes)], schema=LISTED
    )
    now = datetime.now(UTC)
    first = plan(None, objects, now, 3, shard_bytes=10)
    assert first.inventory["shard"].to_pylist() == [f"{n:05}" for n in (0, 0, 1, 2, 3, 3, 3, 4)]
    by_number = plan(None, objects, now, 3)
    assert by_number.inventory["shard"].to_pylist() == [f"{n:05}" for n in (0, 0, 0, 1, 1, 1, 2, 2)]
    assert np.array_equal(first.inventory["size"], by_number.inventory["size"])
