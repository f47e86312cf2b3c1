"""Trainers' own loaders take an export N of N, with the captions and the buckets that the tables predict.

``AROT_TRAINERS`` names a folder with checkouts of `sd-scripts`, `ai-toolkit` and `diffusion-pipe`, and what they import beside this
environment in `packages` (`pip install --no-deps --target packages voluptuous toml imagesize imageio oyaml einops multiprocess
lycoris-lora`). Each loader runs in a process of its own, with stand-ins for models and GPU libraries.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arot_assets.exports.build import Outcome
from arot_assets.exports.versions import BUCKETS, read_manifest, record
from tests.conftest import Dataset
from tests.exports.training import Training, place

HERE = Path(__file__).parent
ROOT = Path(os.environ.get("AROT_TRAINERS", "/nonexistent"))
Prediction = dict[str, dict[str, Any]]


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """Twelve photos, all of one aspect, and a few of others."""
    from PIL import Image

    for n, size in enumerate([(900, 400), (300, 800), (640, 640), (1500, 1000)]):
        Image.effect_noise(size, 40 + n).convert("RGB").save(dataset.source / f"noise{n}.png")
    dataset.run()
    return Training(dataset, tmp_path / "project")


def load(trainer: str, *arguments: object) -> list[list[Any]]:
    """What a trainer's loader finds."""
    checkout = ROOT / trainer
    if not checkout.is_dir():
        pytest.skip(f"AROT_TRAINERS has no checkout '{trainer}'")
    script = HERE / f"load_{trainer.replace('-', '_')}.py"
    command = [sys.executable, str(script), str(checkout), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=HERE)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    assert lines, done.stdout[-2000:] + done.stderr[-4000:]
    found: list[list[Any]] = json.loads(lines[-1].removeprefix("RESULT "))
    return found


def predicted(training: Training, done: Outcome, trainer: str) -> Prediction:
    """Path -> the caption and the bucket that the tables of an export predict."""
    tables, version = training.resources.tables, done.receipt.version
    buckets = tables.read(record("train", version, BUCKETS)).to_pylist()
    by_sample = {b["sample_id"]: b for b in buckets if b["trainer"] == trainer}
    rows = read_manifest(tables, "train", version).to_pylist()
    return {str(place(done) / r["path"]): {**by_sample[r["sample_id"]], "caption": r["caption"]} for r in rows}


@pytest.mark.parametrize("media", ["safe", "exact"])
def test_sd_scripts(training: Training, media: str) -> None:
    done = training.export(media=media, resolution=512)
    wanted = predicted(training, done, "sd-scripts")
    found = {p: (c, w, h) for p, c, w, h, *_ in load("sd-scripts", place(done) / "configs" / "kohya.toml")}
    assert found == {p: (v["caption"], v["bucket_w"], v["bucket_h"]) for p, v in wanted.items()} and len(found) == 16


@pytest.mark.parametrize("media", ["safe", "exact"])
def test_ai_toolkit(training: Training, media: str) -> None:
    done = training.export(media=media, resolution=512)
    wanted = predicted(training, done, "ai-toolkit")
    found = {p: (c, w, h) for p, c, w, h, *_ in load("ai-toolkit", place(done) / "configs" / "ai_toolkit.yaml", 32)}
    # it splits captions at commas and joins them again with one more space
    assert {p: (c.replace("  ", " "), w, h) for p, (c, w, h) in found.items()} == {
        p: (v["caption"], v["bucket_w"], v["bucket_h"]) for p, v in wanted.items()
    }


@pytest.mark.parametrize("media", ["safe", "exact"])
def test_diffusion_pipe(training: Training, media: str, tmp_path: Path) -> None:
    done = training.export(media=media, resolution=512)
    wanted = predicted(training, done, "diffusion-pipe")
    found = load("diffusion-pipe", place(done) / "configs" / "diffusion_pipe.toml", tmp_path / "cache")
    assert {p: c for p, c, *_ in found} == {p: v["caption"] for p, v in wanted.items()}
    for path, _, ratio, size in found:
        if size is not None:
            assert size[:2] == [wanted[path]["bucket_w"], wanted[path]["bucket_h"]]
        else:
            assert abs(ratio[0] - wanted[path]["bucket_w"] / wanted[path]["bucket_h"]) < 0.1


def test_what_sd_scripts_does_with_a_missing_caption(training: Training) -> None:
    done = training.export(resolution=512)
    caption = sorted((place(done) / "images").glob("*.txt"))[0]
    caption.unlink()
    found = {p: c for p, c, *_ in load("sd-scripts", place(done) / "configs" / "kohya.toml")}
    assert len(found) == 16 and [c for p, c in found.items() if Path(p).stem == caption.stem] == [""]
