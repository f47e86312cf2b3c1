"""How fast a step works, what that costs, and the file that Prometheus reads."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from arot_assets import pace
from arot_assets.metadata import pace_metadata
from arot_assets.metrics.assets.shards import gpu_of
from arot_assets.metrics.table_builder import MetricResult
from arot_assets.pace import Pace, PaceError, costs
from resources.models.runner import DEVICE_LOAD, DEVICE_MEMORY


@pytest.fixture
def minutes(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock whose last number is the minute that it is."""
    now = [0.0]
    monkeypatch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: 60 * now[-1], time=lambda: 1e9))
    return now


def test_rate_and_time_left(minutes: list[float]) -> None:
    step = Pace(4, "demo", "metrics")
    minutes.append(1)
    assert step.finished(120) == 2.0
    assert step.seconds_left == 180.0
    assert str(step) == "1 of 4, about 3 min left"


def test_cost_of_a_thousand(minutes: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AROT_COST_PER_HOUR", "3")
    costs.clear()
    step = Pace(2, "demo", "metrics")
    assert step.cost_per_thousand is None
    minutes.append(1)
    step.finished(500)
    assert step.cost_per_thousand == pytest.approx(0.1) and str(step).endswith("left, 0.1 per 1,000") and costs == []
    minutes.append(2)
    step.finished(500)
    assert costs == ["demo metrics: 1,000 worked on, 8.3/s, 0.1 per 1,000"]
    monkeypatch.setenv("AROT_COST_PER_HOUR", "dear")
    with pytest.raises(PaceError, match="AROT_COST_PER_HOUR='dear': must be a number"):
        Pace(2, "demo", "metrics")


def test_file_for_prometheus_is_whole_and_its_own(
    minutes: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AROT_METRICS_FOLDER", str(tmp_path))
    for dataset in ("demo", "other"):
        step = Pace(3, dataset, "metrics")
        minutes.append(minutes[-1] + 1)
        step.finished(120)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["arot-demo-metrics.prom", "arot-other-metrics.prom"]
    lines = (tmp_path / "arot-demo-metrics.prom").read_text().splitlines()
    assert [line for line in lines if line[0] != "#"] == [
        'arot_shards{dataset="demo",step="metrics"} 3',
        'arot_shards_done{dataset="demo",step="metrics"} 1',
        'arot_items_done{dataset="demo",step="metrics"} 120',
        'arot_items_per_second{dataset="demo",step="metrics"} 2',
        'arot_seconds_left{dataset="demo",step="metrics"} 120',
        'arot_last_shard_time_seconds{dataset="demo",step="metrics"} 1000000000',
    ]
    assert lines[:2] == ["# HELP arot_shards shards of the step", "# TYPE arot_shards gauge"]


def test_what_a_gpu_did_is_in_the_log_and_in_the_file(
    minutes: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AROT_METRICS_FOLDER", str(tmp_path))
    step = Pace(2, "demo", "metrics")
    minutes.append(1)
    found = MetricResult(model={DEVICE_LOAD: 93.4, DEVICE_MEMORY: 2500.5})
    step.finished(60, gpu_of([MetricResult(), found]))
    assert str(step) == "1 of 2, about 1 min left, GPU 93 %"
    assert pace_metadata(step, "rows/s")["GPU utilization, %"].value == 93.4
    lines = (tmp_path / "arot-demo-metrics.prom").read_text().splitlines()
    assert 'arot_gpu_utilization_percent{dataset="demo",step="metrics"} 93.4' in lines
    assert 'arot_gpu_memory_bytes{dataset="demo",step="metrics"} 2500500000' in lines
    assert gpu_of([MetricResult()]) == {}


def test_folder_that_is_not_there_stops_no_work(
    minutes: list[float], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("AROT_METRICS_FOLDER", str(tmp_path / "nowhere"))
    minutes.append(1)
    with caplog.at_level("WARNING"):
        assert Pace(3, "demo", "metrics").finished(0) == 0
    assert "check $AROT_METRICS_FOLDER" in caplog.text
