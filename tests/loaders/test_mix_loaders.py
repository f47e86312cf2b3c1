"""Trainers' own loaders see the samples of each subset as often as its share asks for; ``AROT_TRAINERS`` as beside."""

from collections import Counter
from pathlib import Path

import pytest

from tests.conftest import Dataset
from tests.exports.training import SUBSET, Training, place
from tests.loaders.loading import ROOT, load

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="AROT_TRAINERS has no checkouts")


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
    further = {
        "musubi-tuner": ["fp"],
        "diffusion-pipe": [tmp_path / "cache"],
        "ai-toolkit": [32],
        "onetrainer": [512, 1],
        "simpletuner": [tmp_path / "cache", 64],
    }
    found = load(script, name, *further.get(script, []))
    seen: Counter[str] = Counter()
    for row in found:
        times = {
            "sd-scripts": lambda r: r[6],
            "musubi-tuner": lambda r: r[-1],
            "diffusion-pipe": lambda r: r[-1],
            "simpletuner": lambda r: r[4] + 1,
        }.get(script, lambda _: 1)(row)
        seen[Path(row[0]).parent.name] += times
    assert seen == {"images-chosen": 12, "images-seas": 12}
