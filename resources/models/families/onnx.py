"""The ``onnx`` family: a network in an ONNX file, run by ONNX Runtime, or by OpenVINO where it is installed.

Belongs here: sessions and their settings. Does not belong here: preprocessing (``preprocessing.py``: an entry of this family says
all of it, as the file says none) and what the arrays mean (``outputs.py``).

The arrays are the file's outputs under their own names; ``options.outputs`` gives them others. An entry whose file has several
inputs is not for this family.

U8×S8 products of int8 files saturate 16-bit sums on CPUs without VNNI, so that one file gives different numbers on different
machines (onnxruntime issues 14642 and 6004): ``session.x64quantprecision`` is always set, and OpenVINO is refused for int8.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError
from resources.models.network import Network, Outputs, Place
from resources.models.preprocessing import preprocess

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("onnxruntime", "openvino")
FILES = ("*.onnx", "*.onnx_data", "*.csv", "*.json")


def load(entry: ModelEntry, folder: Path, place: Place) -> Network:
    """See ``Family.load``."""
    how = entry.preprocessing
    if how is None:
        raise ModelError(
            f"model '{entry.name}': an ONNX file says nothing of its input; state `preprocessing` in the entry"
        )
    file = folder / entry.file(".onnx") if "file" not in entry.options else folder / entry.file()
    run, batch, precision = (
        _openvino(entry, file, place) if place.engine == "openvino" else _session(entry, file, place)
    )
    names = dict(entry.options.get("outputs", {}))

    def predict(inputs: NDArray[Any]) -> Outputs:
        return {names.get(name, name): np.asarray(array) for name, array in run(inputs).items()}

    size = sum((folder / path).stat().st_size for path in entry.weights.files)
    return Network(lambda rgb: preprocess(rgb, how), predict, how.input_shape, size, batch=batch, precision=precision)


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """A plain session of ONNX Runtime, without graph optimizations, on the same preprocessing: there is no other for a file."""
    import onnxruntime

    how = entry.preprocessing
    assert how is not None, "an entry that loads states its preprocessing"
    options = _options(1)
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    file = folder / (entry.file() if "file" in entry.options else entry.file(".onnx"))
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    names, given = dict(entry.options.get("outputs", {})), session.get_inputs()[0].name
    wanted = [output.name for output in session.get_outputs()]

    def run(picture: "Image") -> Outputs:
        tensor = preprocess(np.asarray(picture.convert("RGB")), how)[None]
        return {names.get(n, n): a for n, a in zip(wanted, session.run(wanted, {given: tensor}), strict=True)}

    return run


def _options(threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.x64quantprecision", "1")
    # threads that spin between batches take the cores that decode
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _session(
    entry: ModelEntry, file: Path, place: Place
) -> tuple[Callable[[NDArray[Any]], dict[str, Any]], int | None, str]:
    """How ONNX Runtime runs a file, the only batch that it takes, and its precision."""
    import onnxruntime

    providers: list[Any] = ["CPUExecutionProvider"]
    if place.device.startswith("cuda"):
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise ModelError(
                f"model '{entry.name}': this ONNX Runtime has no CUDA; `pip install onnxruntime-gpu` in its place, or "
                "resources.models.device='cpu'"
            )
        index = int(place.device.partition(":")[2] or 0)
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": index, "use_tf32": 0}))
    try:
        session = onnxruntime.InferenceSession(str(file), _options(place.threads), providers=providers)
    except Exception as error:  # onnxruntime's errors have no base class of their own
        said = " ".join(str(error).split())[:200]
        raise ModelError(f"model '{entry.name}': ONNX Runtime cannot load {file.name}: {said}") from error
    _only_input(entry, [given.name for given in session.get_inputs()])
    given = session.get_inputs()[0]
    wanted = [output.name for output in session.get_outputs()]
    _fits(entry, list(given.shape[1:]))

    def run(inputs: NDArray[Any]) -> dict[str, Any]:
        return dict(zip(wanted, session.run(wanted, {given.name: inputs}), strict=True))

    batch = given.shape[0]
    return run, batch if isinstance(batch, int) and batch > 0 else None, "float32"


def _openvino(
    entry: ModelEntry, file: Path, place: Place
) -> tuple[Callable[[NDArray[Any]], dict[str, Any]], int | None, str]:
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
    return run, first.get_length() if first.is_static else None, "bfloat16" if "bf" in used else "float32"


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
