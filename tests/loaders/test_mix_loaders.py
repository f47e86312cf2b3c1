"""Trainers' own loaders see the samples of each subset as often as its share asks for; ``AROT_TRAINERS`` as beside."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Dataset
from tests.exports.training import SUBSET, Training, place
from tests.loaders.loading import ROOT, load

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="AROT_TRAINERS has no checkouts")


TIMES: dict[str, Callable[[list[Any]], int]] = {
    "sd-scripts": lambda row: int(row[6]),
    "musubi-tuner": lambda row: int(row[-1]),
    "diffusion-pipe": lambda row: int(row[-1]),
    "simpletuner": lambda row: int(row[4]) + 1,
}
"""How often a loader sees a sample that it gives once; the others give it as often as they see it."""


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """Twelve photos, and a subset of four of them."""
    dataset.run()
    training = Training(dataset, tmp_path / "project")
    training.select(SUBSET.replace("= 'ok'", "= 'ok' and uri like '%sea%'"), "seas")
    return training


@pytest.mark.parametrize(
    ("trainer", "script", "layout"),
    [
        ("sd-scripts", "sd-scripts", "pairs"),
        ("sd-scripts", "sd-scripts", "kohya_jsonl"),
        ("musubi", "musubi-tuner", "pairs"),
        ("musubi", "musubi-tuner", "musubi_jsonl"),
        ("diffusion-pipe", "diffusion-pipe", "pairs"),
        ("diffusion-pipe", "diffusion-pipe", "diffusion_pipe_json"),
        ("ai-toolkit", "ai-toolkit", "pairs"),
        ("onetrainer", "onetrainer", "pairs"),
        ("simpletuner", "simpletuner", "pairs"),
        ("simpletuner", "simpletuner", "simpletuner_parquet"),
    ],
)
def test_a_share_of_half_an_epoch(training: Training, trainer: str, script: str, layout: str, tmp_path: Path) -> None:
    done = training.export(mix={"seas": 0.5}, trainers=[trainer], layout=layout, media="exact", resolution=512)
    configs = place(done) / "configs"
    name = next(p for p in configs.iterdir() if p.name != "commands.md")
    further: dict[str, list[object]] = {
        "musubi-tuner": ["fp"],
        "diffusion-pipe": [tmp_path / "cache"],
        "ai-toolkit": [32],
        "onetrainer": [512, 1],
        "simpletuner": [tmp_path / "cache", 64],
    }
    seen: Counter[str] = Counter()
    for row in load(script, name, *further.get(script, [])):
        seen[Path(row[0]).parent.name] += TIMES.get(script, lambda _: 1)(row)
    assert seen == {"images-chosen": 12, "images-seas": 12}
