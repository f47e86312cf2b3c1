"""The file that Prometheus reads through node_exporter."""

import re
from pathlib import Path

import pytest

from arot_assets.pace import GPU_LOAD, Pace
from arot_assets.prometheus_file import HELP, PrometheusFile

SERIES = re.compile(r'(arot_[a-z_]+)\{dataset="([a-z0-9_]+)",step="([a-z0-9_]+)",slot="(\d+)"\} (-?[0-9.e+-]+)')


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """That of node_exporter."""
    monkeypatch.setenv("AROT_METRICS_FOLDER", str(tmp_path))
    return tmp_path


def read(folder: Path) -> dict[tuple[str, str, str, str], float]:
    """Name, dataset, step and slot -> value, of all files together, as node_exporter serves them."""
    found: dict[tuple[str, str, str, str], float] = {}
    for file in folder.glob("*.prom"):
        for line in file.read_text().splitlines():
            if not line.startswith("#"):
                match = SERIES.fullmatch(line)
                assert match, line
                key = match[1], match[2], match[3], match[4]
                assert key not in found, line
                found[key] = float(match[5])
    return found


def step(folder: Path, shards: int = 3) -> tuple[Pace, PrometheusFile]:
    pace = Pace({f"{n:05}": 100 for n in range(shards)}, "images")
    return pace, PrometheusFile("demo", "rows_of_a-b", pace)


def test_a_step_can_be_seen_from_its_beginning_to_its_end(folder: Path) -> None:
    pace, file = step(folder)
    with file:
        assert {name: v for (name, *_), v in read(folder).items() if name in ("arot_running", "arot_shards_done")} == {
            "arot_running": 1, "arot_shards_done": 0}  # fmt: skip
        pace.finished("00000", 120, {GPU_LOAD: 93.4})
        file.finished()
        found = {name: value for (name, *_), value in read(folder).items()}
        assert found["arot_shards"] == 3 and found["arot_shards_done"] == 1 and found["arot_items_done"] == 120
        assert found[GPU_LOAD] == 93.4 and "arot_cost_per_thousand" not in found
        assert found.keys() <= HELP.keys()
        text = next(folder.glob("*.prom")).read_text().splitlines()
        assert text[0].startswith("# HELP arot_running 1 while") and text[1] == "# TYPE arot_running gauge"
    assert read(folder)["arot_running", "demo", "rows_of_a_b", "0"] == 0
    assert GPU_LOAD not in {name for name, *_ in read(folder)}


def test_runs_of_one_step_at_once_have_a_file_each_and_no_series_twice(folder: Path) -> None:
    first, second, third = (step(folder, n)[1] for n in (50, 10, 7))
    with first:
        with second:
            assert read(folder)["arot_shards", "demo", "rows_of_a_b", "0"] == 50
            assert read(folder)["arot_shards", "demo", "rows_of_a_b", "1"] == 10
        with third:
            assert read(folder)["arot_shards", "demo", "rows_of_a_b", "1"] == 7
    assert {slot for *_, slot in read(folder)} == {"0", "1"}


def test_without_a_gpu_or_anything_to_compute_no_number_is_made_up(folder: Path) -> None:
    pace, file = step(folder)
    with file:
        pace.finished("00000", 0)
        file.finished()
        names = {name for name, *_ in read(folder)}
        assert not names & {GPU_LOAD, "arot_seconds_left", "arot_cost_per_thousand"}


def test_folder_that_is_not_there_is_told_once_and_stops_no_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AROT_METRICS_FOLDER", str(tmp_path / "nowhere"))
    pace, file = step(tmp_path)
    with caplog.at_level("WARNING"), file:
        pace.finished("00000", 1)
        file.finished()
    assert caplog.text.count("check $AROT_METRICS_FOLDER") == 1
