"""Fine-tuning: tiny networks in the layout of real repositories learn an easy question, score as they say, and survive a kill."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from arot_assets.classifiers.trainers import Job, TrainingError, backbone
from arot_assets.classifiers.trainers.networks import trainable
from arot_assets.classifiers.trainers.rates import parameter_groups, schedule
from resources.models.families import timm as timm_family
from resources.models.families import transformers_image
from resources.models.network import Placement
from tests.classifiers import easy
from tests.classifiers.made import Kept
from tests.conftest import REPOSITORY
from tests.models import tiny

BASES = {
    "convnext": (tiny.timm_convnext, "timm"),
    "dinov2": (tiny.bare_dinov2, "transformers_image"),
    "siglip": (tiny.siglip, "transformers_image"),
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():  # type: ignore[no-untyped-def]
    """Such small networks only wait for each other's threads."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each of ``BASES``."""
    found = {}
    for name, (make, _) in BASES.items():
        found[name] = tmp_path_factory.mktemp(name)
        make(found[name])
    return found


@pytest.mark.parametrize("name", BASES)
def test_tiny_networks_learn_an_easy_question_and_score_what_they_say(
    name: str, bases: dict[str, Path], tmp_path: Path
) -> None:
    family = BASES[name][1]
    job = easy.job(family, bases[name], Kept())
    fitted = backbone.train(job)
    logits = fitted.logits(easy.TEST)
    assert (logits.argmax(1) == job.targets.values[easy.TEST]).all()
    assert {row["weights"] for row in fitted.curves} == {"raw", "average"}
    assert fitted.chosen["val_loss"] == min(row["val_loss"] for row in fitted.curves)

    exported = fitted.export(tmp_path, temperature=1.7)
    assert set(exported.files) == {path.name for path in tmp_path.iterdir()}
    outputs = [{"kind": "probabilities", "labels": list(easy.CLASSES), "meaning": "the tint"}]
    entry = easy.entry(exported.family, tmp_path, outputs=outputs)
    module = timm_family if exported.family == "timm" else transformers_image
    network = module.load(entry, tmp_path, Placement("cpu", "float32", "torch", 1))
    assert job.pixels is not None
    scored = network.predict(np.stack([network.prepare(job.pixels(int(row))) for row in easy.TEST]))["logits"]
    np.testing.assert_allclose(scored, logits / 1.7, atol=1e-5)
    np.testing.assert_allclose(fitted.logits(easy.TEST), logits, atol=1e-5, err_msg="exporting changes nothing")


def test_numbers_and_levels_are_learnt_on_their_own_scale(bases: dict[str, Path]) -> None:
    from arot_assets.classifiers.tasks import Task
    from arot_assets.classifiers.trainers import Targets

    job = easy.job("timm", bases["convnext"], Kept())
    values = (job.targets.values * 20 + 60).astype(np.float32)
    numbers = replace(
        job, task=Task("regression", (), "mse"), targets=Targets(values, job.targets.weights), checkpoints=Kept()
    )
    said = backbone.train(numbers).logits(easy.TEST)[:, 0]
    assert np.abs(said - values[easy.TEST]).max() < 10
    levels = replace(job, task=Task("ordinal", ("1", "2", "3"), "corn"), checkpoints=Kept())
    found = levels.task.predictions(backbone.train(levels).logits(easy.TEST))
    assert found.scores is not None and np.corrcoef(found.scores, job.targets.values[easy.TEST])[0, 1] > 0.9


def test_a_training_that_is_killed_ends_with_the_same_weights_bit_for_bit(
    bases: dict[str, Path], tmp_path: Path
) -> None:
    import torch

    command = [sys.executable, "-m", "tests.classifiers.easy", str(bases["convnext"]), str(tmp_path / "state")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, f"dies in the middle of the second epoch: {done.stderr[-2000:]}"
    left = easy.InFile(tmp_path / "state")
    whole, killed = (
        backbone.train(easy.demanding(bases["convnext"], kept)).module.state_dict() for kept in (Kept(), left)
    )
    assert 0 < left.saved < 6, "only the rest is done again"
    assert killed.keys() == whole.keys() and all(torch.equal(killed[key], whole[key]) for key in whole)


def test_trainings_of_one_process_have_a_precision_each(bases: dict[str, Path]) -> None:
    """accelerate keeps a precision for all of a process unless it is told."""
    for precision in ("no", "bf16", "no"):
        job = easy.job("timm", bases["convnext"], Kept(), epochs=1, mixed_precision=precision)
        assert backbone.train(job).chosen["precision"] == precision


class Left(Exception):
    """A training ends in the middle."""


class LeavesAtThird(Kept):
    """Checkpoints of a training that ends right after its third one."""

    def save(self, state: bytes) -> None:
        super().save(state)
        if self.saved == 3:
            raise Left


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["no", "bf16", "fp16"])
def test_on_a_gpu_a_training_learns_and_is_continued(precision: str, bases: dict[str, Path]) -> None:
    import torch

    def on_gpu(kept: Kept) -> Job:
        job = easy.demanding(bases["convnext"], kept)
        settings = job.settings.model_copy(update={"mixed_precision": precision})
        return replace(job, settings=settings, backbone=replace(job.backbone, device="cuda"))

    whole, left = backbone.train(on_gpu(Kept())), LeavesAtThird()
    assert (whole.chosen["precision"], whole.chosen["device"]) == (precision, "cuda")
    with pytest.raises(Left):
        backbone.train(on_gpu(left))
    continued = backbone.train(on_gpu(left))
    assert continued.chosen["steps"] == whole.chosen["steps"]
    for name, t in whole.module.state_dict().items():
        assert torch.allclose(continued.module.state_dict()[name], t, atol=1e-4), name
    learns = on_gpu(Kept())
    own = {"epochs": 6, "mixup": 0.0, "drop_path": 0.0, "crop": 1.0, "accumulate": 1, "checkpoint_steps": 0}
    easily = backbone.train(replace(learns, settings=learns.settings.model_copy(update=own)))
    assert (easily.logits(easy.TEST).argmax(1) == learns.targets.values[easy.TEST]).all()


def test_only_what_is_to_be_trained_moves_and_lower_layers_move_less(bases: dict[str, Path]) -> None:
    import torch

    job = easy.job("timm", bases["convnext"], Kept(), epochs=1)
    for train, moves in (("head", {"head"}), (2, {"head", "stages.3", "stages.2.blocks.1"})):
        settings = job.settings.model_copy(update={"train": train, "ema": 0.0})
        before = trainable(job.backbone, job.task, settings).module.state_dict()
        after = backbone.train(replace(job, settings=settings)).module.state_dict()
        moved = {key for key in before if not torch.equal(before[key], after[key])}
        assert moved and all(key.startswith(tuple(moves)) for key in moved), (train, sorted(moved))
    for name, (_, family) in BASES.items():
        net = trainable(easy.job(family, bases[name], Kept()).backbone, job.task, job.settings)
        groups = parameter_groups(net, job.settings)
        scales = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
        of = {key: scales[id(p)] for key, p in net.module.named_parameters()}
        last, first = of[next(k for k in of if "classifier.weight" in k or "head.fc.weight" in k)], min(of.values())
        assert last == 1 and first < 0.85
        assert of[next(iter(of))] == first, "the layer at the image moves least"
        assert all(group["weight_decay"] == 0 for group in groups for p in group["params"] if p.ndim == 1)


def test_rate_rises_and_falls() -> None:
    rates = [schedule(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] == rates[10] == 1 and rates[99] < 0.001
    assert schedule(0, 5, 0.0) == 1


def test_training_stops_when_nothing_gets_better(bases: dict[str, Path]) -> None:
    fitted = backbone.train(
        easy.job("timm", bases["convnext"], Kept(), epochs=9, patience=1, learning_rate=1e-12, ema=0.0)
    )
    assert fitted.chosen["epochs"] < 9


def test_what_cannot_be_trained_is_told(bases: dict[str, Path]) -> None:
    job = easy.job("timm", bases["convnext"], Kept())
    other = replace(job.backbone, entry=replace(job.backbone.entry, family="onnx"))
    with pytest.raises(TrainingError, match="is of the family onnx; a backbone can be trained that is of: timm"):
        backbone.train(replace(job, backbone=other))
    with pytest.raises(TrainingError, match="no epoch has a finite validation loss"):
        backbone.train(
            easy.job("timm", bases["convnext"], Kept(), epochs=1, learning_rate=1e30, clip=0.0, warmup=0.0, ema=0.0)
        )
