"""Trainers' own loaders find the mask and the control of each sample that an export has; ``AROT_TRAINERS`` as beside."""

from pathlib import Path

import pytest

from tests.exports.test_companions import built, training  # noqa: F401  # fixtures
from tests.exports.training import Training, place
from tests.loaders.loading import ROOT, load

pytestmark = pytest.mark.skipif(not ROOT.is_dir(), reason="AROT_TRAINERS has no checkouts")


def beside(folder: Path, kind: str) -> dict[str, str]:
    """Stem of a picture -> path of its mask or control."""
    return {p.stem: str(p) for p in (folder / kind).iterdir()}


@pytest.mark.parametrize("role", ["mask", "control"])
def test_sd_scripts(training: Training, role: str) -> None:
    done = training.export(**{role: {"mask": "covered", "control": "guide"}[role]}, trainers=["sd-scripts"])
    found = load("sd-scripts", place(done) / "configs" / "kohya.toml")
    assert {Path(p).stem: other for p, *_, other in found} == beside(place(done), f"{role}s") and len(found) == 3


@pytest.mark.parametrize("layout", ["pairs", "musubi_jsonl"])
def test_musubi_tuner(training: Training, layout: str) -> None:
    done = training.export(control="guide", layout=layout, trainers=["musubi"], media="exact", resolution=512)
    found = load("musubi-tuner", place(done) / "configs" / "musubi.toml", "fk")
    assert len(found) == 3 and all(len(controls) == 1 for *_, controls, _ in found)


def test_diffusion_pipe(training: Training, tmp_path: Path) -> None:
    done = training.export(mask="covered", control="guide", trainers=["diffusion-pipe"])
    found = load("diffusion-pipe", place(done) / "configs" / "diffusion_pipe.toml", tmp_path / "cache")
    assert {Path(p).stem: mask for p, *_, mask, _ in found} == beside(place(done), "masks")
    assert {Path(p).stem: control for p, *_, control in found} == beside(place(done), "controls")


def test_ai_toolkit(training: Training) -> None:
    done = training.export(mask="covered", control="guide", trainers=["ai-toolkit"])
    found = load("ai-toolkit", place(done) / "configs" / "ai_toolkit.yaml", 32)
    assert {Path(p).stem: mask for p, *_, mask, _ in found} == beside(place(done), "masks")
    assert {Path(p).stem: control for p, *_, control in found} == beside(place(done), "controls")


def test_onetrainer(training: Training) -> None:
    """Its masks, scaled and cropped as the pictures are, are white on the left and black on the right, as the originals."""
    done = training.export(mask="covered", control="guide", trainers=["onetrainer"], media="exact", resolution=512)
    found = load("onetrainer", place(done) / "configs" / "onetrainer_concepts.json", 512, 1)
    assert len(found) == 3
    for *_, width, _, mask in found:
        assert len(mask) == width and min(mask[: width // 2 - 4]) > 0.9 and max(mask[width // 2 + 4 :]) < 0.1


def test_diffusers(training: Training, tmp_path: Path) -> None:
    done = training.export(control="guide", layout="hf", trainers=["diffusers"], resolution=256)
    found = load("diffusers", place(done) / "configs" / "commands.md", tmp_path / "cache")
    captions = {c for _, c in training.rows().values()}
    assert {caption for caption, *_ in found} == captions and len(found) == 3
    assert {tuple(sizes) for _, *sizes in found} == {(256, 256, 256, 256)}
