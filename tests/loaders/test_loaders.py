"""Trainers' own loaders take an export N of N, with the captions and the buckets that the tables predict.

``AROT_TRAINERS`` names a folder with checkouts of `sd-scripts`, `musubi-tuner`, `diffusion-pipe`, `ai-toolkit`, `onetrainer` and
its `mgds`, `simpletuner`, `finetrainers` and `diffusers`, and what they import beside this environment in `packages` (`pip install
--no-deps --target packages voluptuous toml imagesize imageio oyaml einops multiprocess lycoris-lora torchdata atomicwrites
trainingsample diffusers accelerate decord`). Each loader runs in a process of its own, with stand-ins for models and GPU libraries.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import Dataset
from tests.exports.training import Training, place
from tests.loaders.loading import Prediction, by_caption, load, predicted


@pytest.fixture
def training(dataset: Dataset, tmp_path: Path) -> Training:
    """Twelve photos, all of one aspect, and a few of others."""
    from PIL import Image

    for n, size in enumerate([(900, 400), (300, 800), (640, 640), (1500, 1000)]):
        Image.effect_noise(size, 40 + n).convert("RGB").save(dataset.source / f"noise{n}.png")
    dataset.run()
    return Training(dataset, tmp_path / "project")


def compare(found: Mapping[str, tuple[str, int, int]], wanted: Prediction) -> None:
    """N of N, with the captions and buckets that were predicted; the source has 16 pictures."""
    assert found == {p: (v["caption"], v["bucket_w"], v["bucket_h"]) for p, v in wanted.items()} and len(found) == 16


@pytest.mark.parametrize("media", ["safe", "exact"])
def test_sd_scripts(training: Training, media: str) -> None:
    done = training.export(media=media, resolution=512)
    wanted = predicted(training.resources.tables, done, "sd-scripts")
    found = {p: (c, w, h) for p, c, w, h, *_ in load("sd-scripts", place(done) / "configs" / "kohya.toml")}
    compare(found, wanted)


@pytest.mark.parametrize("media", ["safe", "exact"])
def test_ai_toolkit(training: Training, media: str) -> None:
    done = training.export(media=media, resolution=512)
    wanted = predicted(training.resources.tables, done, "ai-toolkit")
    found = {p: (c, w, h) for p, c, w, h, *_ in load("ai-toolkit", place(done) / "configs" / "ai_toolkit.yaml", 32)}
    # it splits captions at commas and joins them again with one more space
    compare({p: (c.replace("  ", " "), w, h) for p, (c, w, h) in found.items()}, wanted)


@pytest.mark.parametrize("media", ["safe", "exact"])
def test_diffusion_pipe(training: Training, media: str, tmp_path: Path) -> None:
    done = training.export(media=media, resolution=512)
    wanted = predicted(training.resources.tables, done, "diffusion-pipe")
    found = load("diffusion-pipe", place(done) / "configs" / "diffusion_pipe.toml", tmp_path / "cache")
    assert {p: c for p, c, *_ in found} == {p: v["caption"] for p, v in wanted.items()}
    for path, _, ratio, size, *_ in found:
        if size is not None:
            assert size[:2] == [wanted[path]["bucket_w"], wanted[path]["bucket_h"]]
        else:
            assert abs(ratio[0] - wanted[path]["bucket_w"] / wanted[path]["bucket_h"]) < 0.1


@pytest.mark.parametrize("layout", ["pairs", "musubi_jsonl"])
@pytest.mark.parametrize("media", ["safe", "exact"])
def test_musubi_tuner(training: Training, media: str, layout: str) -> None:
    done = training.export(media=media, layout=layout, resolution=512, repeats=2)
    found = load("musubi-tuner", place(done) / "configs" / "musubi.toml", "fp")
    compare({p: (c, w, h) for p, c, w, h, *_ in found}, predicted(training.resources.tables, done, "musubi"))
    assert {repeats for *_, repeats in found} == {2}


@pytest.mark.parametrize("media", ["safe", "exact"])
def test_onetrainer(training: Training, media: str) -> None:
    done = training.export(media=media, resolution=512, repeats=2)
    found = load("onetrainer", place(done) / "configs" / "onetrainer_concepts.json", 512, 1)
    assert len(found) == 32
    compare({p: (c, w, h) for p, c, w, h, _ in found}, predicted(training.resources.tables, done, "onetrainer"))


def test_onetrainer_leaves_over_what_no_batch_has_room_for(training: Training) -> None:
    done = training.export(media="exact", resolution=512, batch_size=3)
    found = load("onetrainer", place(done) / "configs" / "onetrainer_concepts.json", 512, 3)
    assert len(found) == 16 - done.plans["onetrainer"].left_over < 16


@pytest.mark.parametrize(
    ("media", "layout", "resolution"),
    [
        ("safe", "pairs", 512),
        ("exact", "pairs", 512),
        ("safe", "simpletuner_parquet", 512),
        ("safe", "pairs", 672),  # its area is near one that it rounds for square pictures alone
    ],
)
def test_simpletuner(training: Training, media: str, layout: str, resolution: int, tmp_path: Path) -> None:
    done = training.export(media=media, layout=layout, resolution=resolution, repeats=2)
    config = place(done) / "configs" / "simpletuner_multidatabackend.json"
    found = load("simpletuner", config, tmp_path / "cache", 64)
    compare({p: (c, w, h) for p, c, w, h, *_ in found}, predicted(training.resources.tables, done, "simpletuner"))
    assert {repeats for *_, repeats, _, _ in found} == {1}  # times that a sample is seen again


@pytest.mark.parametrize(
    ("media", "layout"), [("safe", "pairs"), ("exact", "pairs"), ("exact", "hf"), ("exact", "webdataset")]
)
def test_finetrainers(training: Training, media: str, layout: str) -> None:
    done = training.export(media=media, layout=layout, resolution=512)
    found = load("finetrainers", place(done) / "configs" / "finetrainers.json")
    assert len(found) == 16
    compare(
        {c: (c, w, h) for c, w, h, *_ in found}, by_caption(predicted(training.resources.tables, done, "finetrainers"))
    )


@pytest.mark.parametrize("media", ["safe", "exact"])
def test_diffusers(training: Training, media: str, tmp_path: Path) -> None:
    """`safe` is for its script for text to image, `exact` for that of dreambooth with buckets."""
    done = training.export(media=media, layout="hf", resolution=512)
    found = load("diffusers", place(done) / "configs" / "commands.md", tmp_path / "cache")
    assert len(found) == 16
    compare({c: (c, w, h) for c, w, h in found}, by_caption(predicted(training.resources.tables, done, "diffusers")))


def test_what_sd_scripts_does_with_a_missing_caption(training: Training) -> None:
    done = training.export(resolution=512)
    caption = sorted((place(done) / "images").glob("*.txt"))[0]
    caption.unlink()
    found = {p: c for p, c, *_ in load("sd-scripts", place(done) / "configs" / "kohya.toml")}
    assert len(found) == 16 and [c for p, c in found.items() if Path(p).stem == caption.stem] == [""]
