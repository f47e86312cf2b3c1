"""TransNetV2 in merged convolutions gives the numbers of the published forward pass."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from resources.models.entries import find_entry
from resources.models.entry import ModelEntry, ModelError
from resources.models.families import shots
from resources.models.network import Placement

PLACE = Placement("cpu", "float32", "torch", 1)


def transnet_entry(**options: int) -> ModelEntry:
    return replace(find_entry("transnetv2"), options={"window": 60, "context": 25, **options})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights."""
    return random_transnet(tmp_path_factory.mktemp("weights"))


def random_transnet(place: Path) -> Path:
    """A folder with random tensors in the layout of the published weights."""
    torch.manual_seed(0)
    tensors: dict[str, torch.Tensor] = {}
    channels = 3
    for block in range(3):
        width = 16 << block
        for layer in range(2):
            name = f"SDDCNN.{block}.DDCNN.{layer}"
            for d in shots.DILATIONS:
                scale = channels**-0.5
                tensors[f"{name}.Conv3D_{d}.layers.0.weight"] = torch.randn(2 * width, channels, 1, 3, 3) * scale / 3
                tensors[f"{name}.Conv3D_{d}.layers.1.weight"] = torch.randn(width, 2 * width, 3, 1, 1) * width**-0.5 / 2
            tensors |= {f"{name}.bn.{part}": torch.rand(4 * width) + 0.5 for part in ("weight", "running_var")}
            tensors |= {f"{name}.bn.{part}": torch.randn(4 * width) / 4 for part in ("bias", "running_mean")}
            channels = 4 * width
    sizes = {
        "frame_sim_layer.projection": (128, 448),
        "frame_sim_layer.fc": (128, 101),
        "color_hist_layer.fc": (128, 101),
    }
    for name, (out, into) in {**sizes, "fc1": (1024, 4864), "cls_layer1": (1, 1024), "cls_layer2": (1, 1024)}.items():
        tensors[f"{name}.weight"] = torch.randn(out, into) * into**-0.5
        tensors[f"{name}.bias"] = torch.randn(out)
    file = place / transnet_entry().file()
    file.parent.mkdir(parents=True)
    torch.save(tensors, file)
    return place


def test_numbers_are_those_of_the_published_forward_pass(folder: Path) -> None:
    network = shots.load(transnet_entry(), folder, PLACE)
    published = shots.published_forward(torch.load(folder / transnet_entry().file(), weights_only=True))
    rng = np.random.default_rng(0)
    films = rng.integers(0, 256, (2, 60, 27, 48, 3), np.uint8)
    films[1, 20:] = films[1, 20]  # a cut, and nothing after it
    found, expected = network.predict(films), published(films)
    assert set(found) == {"cut", "transition"}
    for name, array in expected.items():
        assert array.shape == (2, 60) and np.ptp(array) > 1e-3
        assert np.abs(found[name] - array).max() < 1e-5


def test_weights_of_another_network_and_windows_without_frames_to_judge_are_told(folder: Path, tmp_path: Path) -> None:
    tensors = torch.load(folder / transnet_entry().file(), weights_only=True)
    tensors["fc1.weight"] = tensors["fc1.weight"][:, :100]
    (tmp_path / transnet_entry().file()).parent.mkdir(parents=True)
    torch.save(tensors, tmp_path / transnet_entry().file())
    with pytest.raises(ModelError, match="has not the tensors of TransNetV2"):
        shots.load(transnet_entry(), tmp_path, PLACE)
    with pytest.raises(ModelError, match="window is 50 and"):
        shots.load(transnet_entry(window=50), folder, PLACE)
