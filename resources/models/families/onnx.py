"""The ``onnx`` family: a network in an ONNX file, run by ONNX Runtime, or by OpenVINO where it is installed.

Belongs here: sessions and their settings. Does not belong here: preprocessing (``preprocessing.py``: an entry of this family says
all of it, as the file says none) and what the arrays mean (``outputs.py``).

The arrays are the file's outputs under their own names, or under those of ``options.outputs``; an only output needs no name. An
entry whose file has several inputs is not for this family.

U8×S8 products of int8 files saturate 16-bit sums on CPUs without VNNI, so that one file gives different numbers on different
machines (onnxruntime issues 14642 and 6004): ``session.x64quantprecision`` is always set, and OpenVINO is refused for int8.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError, Preprocessing
from resources.models.network import DeviceError, Network, Outputs, Placement
from resources.models.outputs import MapSummary
from resources.models.placed import area_on_canvas, placed, without_borders
from resources.models.preprocessing import preprocess

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("onnxruntime", "openvino")
FILES = ("*.onnx", "*.onnx_data", "*.onnx.data", "*.csv", "*.json")
ON_CPU, ON_CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
"""What ONNX Runtime calls them."""


@dataclass(frozen=True)
class Session:
    """A file that is loaded.

    Attributes:
        run: ``[N, …]`` -> its outputs under the names of the file.
        batch: the only size of a batch that it takes; None: any.
        precision: what it computes in.
        metadata: what the file says of itself.
        device: where it computes.
    """

    run: Callable[[NDArray[Any]], dict[str, Any]]
    batch: int | None
    precision: str
    metadata: dict[str, str]
    device: str


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    how = entry.preprocessing
    if how is None:
        raise ModelError(
            f"model '{entry.name}': an ONNX file says nothing of its input; state `preprocessing` in the entry"
        )
    file = folder / entry.file(".onnx") if "file" not in entry.options else folder / entry.file()
    loaded = _openvino(entry, file, place) if place.engine == "openvino" else session(entry, file, place)
    names, maps = dict(entry.options.get("outputs", {})), _bordered_maps(entry, how)

    def predict(inputs: NDArray[Any]) -> Outputs:
        pixels = np.ascontiguousarray(inputs["pixels"]) if maps else inputs
        found = _named(entry, {names.get(name, name): np.asarray(array) for name, array in loaded.run(pixels).items()})
        return found | {name: without_borders(found[name], inputs["area"]) for name in maps if name in found}

    def prepare(rgb: NDArray[np.uint8]) -> NDArray[Any]:
        return placed(rgb, how) if maps else preprocess(rgb, how)

    size = sum((folder / path).stat().st_size for path in entry.weights.files)
    shape = () if maps else how.input_shape
    return Network(prepare, predict, shape, size, batch=loaded.batch, precision=loaded.precision, device=loaded.device)


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """A plain session of ONNX Runtime, without graph optimizations, on the same preprocessing: there is no other for a file."""
    import onnxruntime

    how = entry.preprocessing
    assert how is not None, "an entry that loads states its preprocessing"
    options = session_options(1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    file = folder / (entry.file() if "file" in entry.options else entry.file(".onnx"))
    runtime = onnxruntime.InferenceSession(str(file), options, providers=[ON_CPU])
    names, given = dict(entry.options.get("outputs", {})), runtime.get_inputs()[0].name
    wanted = [output.name for output in runtime.get_outputs()]

    def run(picture: "Image") -> Outputs:
        rgb = np.asarray(picture.convert("RGB"))
        arrays = runtime.run(wanted, {given: preprocess(rgb, how)[None]})
        found = _named(entry, {names.get(n, n): a for n, a in zip(wanted, arrays, strict=True)})
        area = np.array([area_on_canvas(rgb.shape[0], rgb.shape[1], how)], np.float32)
        return found | {name: without_borders(found[name], area) for name in _bordered_maps(entry, how)}

    return run


def _named(entry: ModelEntry, found: dict[str, Any]) -> dict[str, Any]:
    """The arrays of a file; its only one has every name that the entry gives it."""
    if len(found) > 1:
        return found
    (array,) = found.values()
    return found | {output.of: array for output in entry.outputs}


def _bordered_maps(entry: ModelEntry, how: Preprocessing) -> list[str]:
    """The arrays that are maps over a canvas with borders: what lies over those says nothing of the image."""
    if how.resize not in ("letterbox", "pad"):
        return []
    return [output.of for output in entry.outputs if isinstance(output, MapSummary)]


def session_options(threads: int) -> Any:
    """How ONNX Runtime is to run any file, with so many threads."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    # threads that spin between batches take the cores that decode
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def session(entry: ModelEntry, file: Path, place: Placement) -> Session:
    """A file as ONNX Runtime runs it.

    Raises:
        ModelError: it is no ONNX file, has several inputs, or does not take what the entry's preprocessing makes.
        DeviceError: this ONNX Runtime cannot use the GPU that it is to run on.
    """
    import onnxruntime

    providers: list[Any] = [ON_CPU]
    on_gpu = place.device.startswith("cuda")
    if on_gpu:
        if ON_CUDA not in onnxruntime.get_available_providers():
            raise DeviceError(
                f"model '{entry.name}': this ONNX Runtime has no CUDA; `pip install onnxruntime-gpu` in its place, or "
                "resources.models.device='cpu'"
            )
        index = int(place.device.partition(":")[2] or 0)
        providers.insert(0, (ON_CUDA, {"device_id": index, "use_tf32": 0}))
    try:
        runtime = onnxruntime.InferenceSession(str(file), session_options(place.threads), providers=providers)
    except Exception as error:  # onnxruntime's errors have no base class of their own
        said = " ".join(str(error).split())[:200]
        raise ModelError(f"model '{entry.name}': ONNX Runtime cannot load {file.name}: {said}") from error
    if on_gpu and ON_CUDA not in runtime.get_providers():  # it takes the CPU in silence where a library is missing
        raise DeviceError(
            f"model '{entry.name}': ONNX Runtime cannot use {place.device}, probably for want of the CUDA or cuDNN that "
            f"onnxruntime {onnxruntime.__version__} is built for; install them, or resources.models.device='cpu'"
        )
    _only_input(entry, [given.name for given in runtime.get_inputs()])
    given = runtime.get_inputs()[0]
    wanted = [output.name for output in runtime.get_outputs()]
    _fits(entry, list(given.shape[1:]))

    def run(inputs: NDArray[Any]) -> dict[str, Any]:
        return dict(zip(wanted, runtime.run(wanted, {given.name: inputs}), strict=True))

    batch = given.shape[0]
    metadata, device = dict(runtime.get_modelmeta().custom_metadata_map), place.device if on_gpu else "cpu"
    return Session(run, batch if isinstance(batch, int) and batch > 0 else None, "float32", metadata, device)


def _openvino(entry: ModelEntry, file: Path, place: Placement) -> Session:
    """How OpenVINO runs a file; the precision is what the compiled model reports, never what was hoped for."""
    try:
        import openvino
    except ImportError as error:
        raise ModelError("resources.models.engine='openvino' needs `pip install 'arot[openvino]'`") from error
    core = openvino.Core()
    model = core.read_model(file)
    kinds = {op.get_type_name() for op in model.get_ops()}
    if kinds & {"FakeQuantize", "Convert"} and any(
        op.get_element_type().get_type_name() in ("i8", "u8") for op in model.get_ops()
    ):
        raise ModelError(
            f"model '{entry.name}': {file.name} is int8, whose numbers OpenVINO changes on CPUs without VNNI; use "
            "resources.models.engine='onnxruntime'"
        )
    _only_input(entry, [given.get_any_name() for given in model.inputs])
    hint = "bf16" if place.precision == "bfloat16" else "f32"
    if hint == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise ModelError(f"model '{entry.name}': this CPU has no bfloat16; use resources.models.precision='float32'")
    threads = {"INFERENCE_NUM_THREADS": place.threads, "INFERENCE_PRECISION_HINT": hint}
    compiled = core.compile_model(model, "CPU", threads)
    used = str(compiled.get_property("INFERENCE_PRECISION_HINT"))
    names = [output.get_any_name() for output in compiled.outputs]

    def run(inputs: NDArray[Any]) -> dict[str, Any]:
        found = compiled(inputs)
        return {name: found[position].copy() for position, name in enumerate(names)}

    first = model.inputs[0].get_partial_shape()[0]
    batch, precision = first.get_length() if first.is_static else None, "bfloat16" if "bf" in used else "float32"
    return Session(run, batch, precision, {}, "cpu")


def _only_input(entry: ModelEntry, inputs: Sequence[str]) -> None:
    if len(inputs) != 1:
        raise ModelError(
            f"model '{entry.name}': its file takes {len(inputs)} inputs ({', '.join(inputs)}), and images are one; it needs a "
            "family of its own"
        )


def _fits(entry: ModelEntry, shape: list[Any]) -> None:
    """Hold the entry's layout to what the file declares, where it declares it."""
    how = entry.preprocessing
    if how is None or how.input_shape is None or len(shape) != len(how.input_shape):
        return
    differs = [a for a, b in zip(shape, how.input_shape, strict=True) if isinstance(a, int) and a > 0 and a != b]
    if differs:
        raise ModelError(
            f"model '{entry.name}': its file takes {shape}, and its preprocessing makes {list(how.input_shape)}; correct "
            "`size` or `layout`"
        )
