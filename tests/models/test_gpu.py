"""On a GPU every family gives the numbers of the CPU. These tests run where there is one."""

import importlib.util
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resources.models import Models
from resources.models.entry import Preprocessing
from resources.models.families import shots
from resources.models.network import Placement
from resources.models.preprocessing import normalised, preprocess, values_of_levels
from resources.models.runner import DEVICE_LOAD, DEVICE_MEMORY, Usage
from resources.vlm.local import LocalVlm
from resources.vlm.question import Question, Sampling
from tests.models import vlm
from tests.models.test_families import KINDS, images
from tests.models.test_shots_family import random_transnet, transnet_entry

pytestmark = pytest.mark.gpu
TOLERANCE = 1e-3
"""Of an array's spread: kernels add in another order; TF32 is off."""
REDUCED = 5e-2
"""The same in bfloat16, which keeps 8 bits of each number: of the spread, or of the numbers where they are nearly alike."""


def spread_of_difference(found: Any, wanted: Any, of_size: bool = False) -> float:
    """The largest difference, in units of the spread of what it is compared with, or of its size if that is more."""
    a, b = (np.stack([np.asarray(one, np.float64) for one in side]) for side in (found, wanted))
    return float(np.abs(a - b).max() / max(np.ptp(b), np.abs(b).max() if of_size else 0, 1e-6))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "scorer"])  # ONNX Runtime runs on the CPU
@pytest.mark.parametrize(("precision", "limit"), [("float32", TOLERANCE), ("bfloat16", REDUCED)])
def test_gpu_gives_the_numbers_of_the_cpu(
    kind: str, precision: Any, limit: float, models: Models, published: Callable[..., dict[str, Any]]
) -> None:
    make, fields = KINDS[kind]
    published(kind, make, **fields, precision="bfloat16")
    here, there = models.get(kind), replace(models, device="cuda", precision=precision).get(kind)
    assert there.network.precision == precision
    for picture in [p for p in images() if min(p.size) > 20]:
        pixels = np.asarray(picture)
        wanted = here.predict([here.prepare(pixels)])
        found = there.predict([there.prepare(pixels)] * 3)
        for output in here.entry.outputs:
            apart = spread_of_difference(found[output.of][:1], wanted[output.of], of_size=precision == "bfloat16")
            assert apart <= limit, (kind, picture.size)
            assert (
                spread_of_difference(found[output.of][2:], found[output.of][:1]) == 0
            )  # the same image in another place


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
def test_levels_that_a_gpu_looks_up_are_the_values_of_the_cpu(channels: Any) -> None:
    import torch

    how = Preprocessing(32, "pad", (0.48, 0.45, 0.4), (0.26, 0.26, 0.27), channels=channels, colour=(255, 255, 255))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    levels = torch.from_numpy(preprocess(pixels, replace(how, dtype="uint8", layout="NHWC"))).to("cuda")
    values = torch.from_numpy(values_of_levels(how)).to("cuda")
    found = torch.stack([values[c].index_select(0, levels[..., c].flatten().int()).view(32, 32) for c in range(3)])
    assert np.array_equal(found.cpu().numpy(), normalised(pixels, how))


def test_batches_that_are_queued_give_each_its_own_numbers(
    models: Models, published: Callable[..., dict[str, Any]]
) -> None:
    make, fields = KINDS["tagger"]
    published("tagger", make, **fields)
    runner = replace(models, device="cuda", batch_size=2).get("tagger")
    random = np.random.default_rng(0)
    inputs = [runner.prepare(random.integers(0, 256, (40, 40, 3), np.uint8)) for _ in range(100)]
    alone = [runner.predict([one])["logits"][0] for one in inputs]
    with ThreadPoolExecutor(runner.at_once) as pool:
        found = list(pool.map(lambda n: runner.predict(inputs[n : n + 2])["logits"], range(0, 100, 2)))
    assert np.array_equal(np.concatenate(found), np.stack(alone))
    done = runner.report(Usage())
    assert done["images"] == 200
    assert done[DEVICE_MEMORY] > 0
    if importlib.util.find_spec("pynvml"):  # without nvidia-ml-py nothing is known of the load
        assert 0 <= done[DEVICE_LOAD] <= 100


def test_shots_of_a_film_are_those_of_the_cpu(tmp_path: Path) -> None:
    folder, entry = random_transnet(tmp_path), transnet_entry()
    here, there = (shots.load(entry, folder, Placement(device, "float32", "torch", 1)) for device in ("cpu", "cuda"))
    films = np.random.default_rng(0).integers(0, 256, (1, 60, 27, 48, 3), np.uint8)
    films[0, 20:] = films[0, 20]
    wanted, found = here.predict(films), there.predict(films)
    for name in ("cut", "transition"):
        assert np.abs(found[name] - wanted[name]).max() < TOLERANCE


def test_a_captioner_on_a_gpu_answers_the_same_each_time(tmp_path: Path) -> None:
    vlm.qwen2_vl(tmp_path)
    model = LocalVlm(str(tmp_path), device="auto")
    image = io.BytesIO()
    images()[0].save(image, "JPEG")
    question = Question("Describe it.", (image.getvalue(),), sampling=Sampling(max_tokens=12))
    first, again = model.ask(question), model.ask(question)
    assert first.text == again.text and 0 < first.tokens_out <= 12
    _, loaded = model._load()
    assert loaded.device.type == "cuda"


def test_a_device_that_is_full_halves_the_batch_and_goes_on(
    models: Models, published: Callable[..., dict[str, Any]]
) -> None:
    import torch

    make, fields = KINDS["tagger"]
    published("tagger", make, **fields)
    runner = replace(models, device="cuda", batch_size=64).get("tagger")
    inputs = [runner.prepare(np.asarray(images()[0]))] * 64
    wanted = runner.predict(inputs[:1])["logits"][0]
    free, _ = torch.cuda.mem_get_info()
    torch.cuda.empty_cache()
    begin = runner.network.begin
    assert begin is not None

    def greedy(batch: Any) -> Any:
        """Takes so much memory an image that no more than 16 fit."""
        held = torch.empty(len(batch) * (free // 20), dtype=torch.uint8, device="cuda")
        try:
            return begin(batch)
        finally:
            del held

    object.__setattr__(runner.network, "begin", greedy)
    found = runner.predict(inputs)["logits"]
    assert runner.batch_size == 16
    np.testing.assert_allclose(found, np.broadcast_to(wanted, found.shape), atol=1e-4)
