"""Trainers' own loaders find the mask and the control of each sample that an export has; ``AROT_TRAINERS`` as beside."""

from pathlib import Path

import pytest

from tests.exports.test_companions import SUBSET, built, training  # noqa: F401  # fixtures
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
    assert {Path(p).stem: mask for p, *_, mask, _, _ in found} == beside(place(done), "masks")
    assert {Path(p).stem: control for p, *_, control, _ in found} == beside(place(done), "controls")


def test_ai_toolkit(training: Training) -> None:
    done = training.export(mask="covered", control="guide", trainers=["ai-toolkit"])
    found = load("ai-toolkit", place(done) / "configs" / "ai_toolkit.yaml", 32)
    assert {Path(p).stem: mask for p, *_, mask, _ in found} == beside(place(done), "masks")
    assert {Path(p).stem: control for p, *_, (control,) in found} == beside(place(done), "controls")


def test_ai_toolkit_finds_several_controls(training: Training) -> None:
    done = training.export(mask="covered", control=["guide", "picked"], trainers=["ai-toolkit"])
    found = load("ai-toolkit", place(done) / "configs" / "ai_toolkit.yaml", 32)
    for n, folder in enumerate(("controls", "controls_2")):
        assert {Path(p).stem: controls[n] for p, *_, controls in found} == beside(place(done), folder)
    assert {Path(p).stem: mask for p, *_, mask, _ in found} == beside(place(done), "masks") and len(found) == 3


@pytest.mark.parametrize("layout", ["pairs", "musubi_jsonl"])
@pytest.mark.parametrize(("architecture", "seen"), [("qie", 2), ("f2d", 2), ("fk", 1)])
def test_musubi_tuner_finds_as_many_controls_as_the_model_takes(
    training: Training, layout: str, architecture: str, seen: int
) -> None:
    done = training.export(
        control=["guide", "picked"], layout=layout, trainers=["musubi"], media="exact", resolution=512
    )
    found = load("musubi-tuner", place(done) / "configs" / "musubi.toml", architecture)
    assert len(found) == 3 and all(len(controls) == seen for *_, controls, _ in found)


@pytest.mark.parametrize("layout", ["pairs", "simpletuner_parquet"])
def test_simpletuner(training: Training, layout: str, tmp_path: Path) -> None:
    """The mask is white on the left and the sketch on the right, as the originals, after the crop of the picture."""
    done = training.export(
        mask="covered", control=["guide", "picked"], layout=layout, trainers=["simpletuner"], resolution=512
    )
    config = place(done) / "configs" / "simpletuner_multidatabackend.json"
    found = load("simpletuner", config, tmp_path / "cache", 64)
    assert len(found) == 3
    for path, caption, width, height, *_, companions in found:
        assert [kind for kind, *_ in companions] == ["mask", "reference_strict", "reference_strict"]
        for folder, (_, beside, text, *size, left, right) in zip(
            ("masks", "controls", "controls_2"), companions, strict=True
        ):
            assert beside == f"{place(done)}/simpletuner/{folder}/{Path(path).name}"
            assert text == caption and size == [width, height]
            if folder != "controls":
                assert left > right + 150 if folder == "masks" else right > left + 150


def test_simpletuner_takes_controls_of_another_shape(training: Training, tmp_path: Path) -> None:
    training.select(SUBSET.replace("g.stem = p.stem where", "(g.stem::int + 1) % 3 = p.stem::int where"))
    done = training.export(control="guide", trainers=["simpletuner"], resolution=512, rules={"companion_shape": "keep"})
    config = place(done) / "configs" / "simpletuner_multidatabackend.json"
    found = load("simpletuner", config, tmp_path / "cache", 64)
    assert len(found) == 3 and all(kind == "reference_loose" for *_, ((kind, *_),) in found)


def test_what_simpletuner_does_with_a_missing_mask(training: Training, tmp_path: Path) -> None:
    """The contract stops at it; SimpleTuner goes on with a warning until it makes a batch of the sample."""
    done = training.export(mask="covered", trainers=["simpletuner"], resolution=512)
    victim = sorted((place(done) / "simpletuner" / "masks").iterdir())[0]
    victim.unlink()
    config = place(done) / "configs" / "simpletuner_multidatabackend.json"
    found = load("simpletuner", config, tmp_path / "cache", 64)
    assert {Path(p).name: len(companions) for p, *_, companions in found}[victim.name] == 0


def test_finetrainers(training: Training) -> None:
    """Its control trainer takes the sketch of each picture, dark on the left and light on the right, in the size of the picture."""
    done = training.export(
        control="picked", layout="webdataset", trainers=["finetrainers"], media="exact", resolution=512
    )
    found = load("finetrainers", place(done) / "configs" / "finetrainers.json")
    assert {c for c, *_ in found} == {c for _, c in training.rows().values()} and len(found) == 3
    for _, width, height, _, (*size, left, right) in found:
        assert size == [width, height] and right > left + 1


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
