"""The ``tflite`` family: a network in a TensorFlow Lite file, run by LiteRT on the CPU.

Belongs here: interpreters, and numbers of 8 bits in and out. Does not belong here: preprocessing (``preprocessing.py``: an entry
of this family says all of it), and what the arrays mean (``outputs.py``).

The arrays are the file's outputs under their own names, or under those of ``options.outputs``; an only output needs no name. A
file whose input or outputs are quantised says by which scale and zero point: the input that an entry describes in float32 is
rounded to the file's own numbers, and its outputs come back as float32. Levels of ``dtype: uint8`` are passed as they are. A file
takes one image at a time, as exported.

LiteRT is an extra (``arot[litert]``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.entry import ModelEntry, ModelError, Preprocessing
from resources.models.network import Network, Outputs, Placement
from resources.models.outputs import MapSummary
from resources.models.placed import area_on_canvas, placed, without_borders
from resources.models.preprocessing import preprocess

if TYPE_CHECKING:
    from PIL.Image import Image

VERSION = "1"
ENGINES = ("litert",)
FILES = ("*.tflite", "*.txt", "*.csv", "*.json")
BORDERED = ("letterbox", "pad")
"""Ways to resize that leave borders: what a map says of those is nothing about the image."""


@dataclass(frozen=True)
class Interpreter:
    """A file that is loaded.

    Attributes:
        run: one image's input ``[1, …]``, as the entry describes it -> its outputs as float32, under the names of the file.
        shape: of its input, with the batch of 1.
    """

    run: Callable[[NDArray[Any]], dict[str, NDArray[Any]]]
    shape: tuple[int, ...]


def load(entry: ModelEntry, folder: Path, place: Placement) -> Network:
    """See ``Family.load``."""
    how = preprocessing_of(entry)
    file = folder / entry.file(".tflite")
    loaded, maps = interpreter(entry, file, place.threads), _bordered_maps(entry, how)

    def predict(inputs: NDArray[Any]) -> Outputs:
        pixels = np.ascontiguousarray(inputs["pixels"]) if maps else inputs
        found = named(entry, loaded.run(pixels))
        return found | {name: without_borders(_map(found[name]), inputs["area"]) for name in maps}

    def prepare(rgb: NDArray[np.uint8]) -> NDArray[Any]:
        return placed(rgb, how) if maps else preprocess(rgb, how)

    return Network(prepare, predict, () if maps else how.input_shape, file.stat().st_size, batch=1, device="cpu")


def reference(entry: ModelEntry, folder: Path) -> "Callable[[Image], Outputs]":
    """TensorFlow Lite's plain kernels on the same preprocessing: there is no other for a file."""
    how = preprocessing_of(entry)
    loaded = interpreter(entry, folder / entry.file(".tflite"), 1, plain=True)
    maps = _bordered_maps(entry, how)

    def run(picture: "Image") -> Outputs:
        rgb = np.asarray(picture.convert("RGB"))
        found = named(entry, loaded.run(preprocess(rgb, how)[None]))
        area = np.array([area_on_canvas(rgb.shape[0], rgb.shape[1], how)], np.float32)
        return found | {name: without_borders(_map(found[name]), area) for name in maps}

    return run


def preprocessing_of(entry: ModelEntry) -> Preprocessing:
    """What an entry says of its input; a file of TensorFlow Lite says only its shape and type."""
    if entry.preprocessing is None or entry.preprocessing.input_shape is None:
        raise ModelError(
            f"model '{entry.name}': a TensorFlow Lite file says nothing of how its input is made; state `preprocessing` with a "
            "fixed size in the entry"
        )
    return entry.preprocessing


def interpreter(
    entry: ModelEntry, file: Path, threads: int, plain: bool = False, how: Preprocessing | None = None
) -> Interpreter:
    """A file, loaded by LiteRT.

    Args:
        entry: whose file it is.
        file: it.
        threads: of one forward pass.
        plain: with LiteRT's own kernels, to compare with; those of XNNPACK where only they have an operation of the file.
        how: how its input is made; None: as the entry says.

    Raises:
        ModelError: LiteRT is not installed, or the file is no network that takes what the entry describes.
    """
    try:
        from ai_edge_litert import interpreter as library
    except ImportError as error:
        raise ModelError(f"model '{entry.name}' is run by LiteRT: `pip install 'arot[litert]'`") from error
    kernels = library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if plain else library.OpResolverType.AUTO
    try:
        runtime = library.Interpreter(model_path=str(file), num_threads=threads, experimental_op_resolver_type=kernels)
        runtime.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        if plain and "unresolved custom op" in str(error):
            return interpreter(entry, file, threads, how=how)
        said = " ".join(str(error).split())[:200]
        raise ModelError(f"model '{entry.name}': LiteRT cannot load {file.name}: {said}") from error
    inputs, outputs = runtime.get_input_details(), runtime.get_output_details()
    if len(inputs) != 1:
        raise ModelError(
            f"model '{entry.name}': its file takes {len(inputs)} inputs ({', '.join(i['name'] for i in inputs)}), and images are "
            "one; it needs a family of its own"
        )
    given = inputs[0]
    _fits(entry, how or preprocessing_of(entry), given)

    def run(pixels: NDArray[Any]) -> dict[str, NDArray[Any]]:
        runtime.set_tensor(given["index"], as_stored(pixels, given))
        runtime.invoke()
        return {one["name"]: as_meant(runtime.get_tensor(one["index"]), one) for one in outputs}

    return Interpreter(run, tuple(int(length) for length in given["shape"]))


def named(entry: ModelEntry, found: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays of a file under the names that the entry gives them; its only one has every name that the entry uses."""
    names = dict(entry.options.get("outputs", {}))
    arrays = {names.get(name, name): array for name, array in found.items()}
    if len(arrays) > 1:
        return arrays
    (array,) = arrays.values()
    return arrays | {output.of: array for output in entry.outputs}


def as_stored(pixels: NDArray[Any], detail: Mapping[str, Any]) -> NDArray[Any]:
    """An input as the tensor's own numbers: rounded by its scale and zero point where it is quantised and the input is not."""
    kind, (scale, zero) = np.dtype(detail["dtype"]), detail["quantization"]
    if pixels.dtype == kind or not scale:
        return pixels.astype(kind)
    range_ = np.iinfo(kind)
    stored: NDArray[Any] = np.clip(np.rint(pixels / scale) + zero, range_.min, range_.max).astype(kind)
    return stored


def as_meant(array: NDArray[Any], detail: Mapping[str, Any]) -> NDArray[Any]:
    """An output as float32: the numbers that a quantised tensor stands for."""
    scale, zero = detail["quantization"]
    if not scale:
        return np.asarray(array, np.float32)
    return np.asarray((array.astype(np.float32) - zero) * np.float32(scale), np.float32)


def _map(array: NDArray[Any]) -> NDArray[Any]:
    """Maps of TensorFlow have their only channel last."""
    return array[..., 0] if array.ndim == 4 and array.shape[-1] == 1 else array


def _bordered_maps(entry: ModelEntry, how: Preprocessing) -> list[str]:
    """The arrays that are maps over a canvas with borders."""
    if how.resize not in BORDERED:
        return []
    return [output.of for output in entry.outputs if isinstance(output, MapSummary)]


def _fits(entry: ModelEntry, how: Preprocessing, given: Mapping[str, Any]) -> None:
    """Hold the entry to what the file declares of its input: shape and type."""
    shape = [int(length) for length in given["shape"]]
    if shape != [1, *(how.input_shape or ())]:
        raise ModelError(
            f"model '{entry.name}': its file takes {shape}, and its preprocessing makes {[1, *(how.input_shape or ())]}; correct "
            "`size` or `layout`"
        )
    kind, (scale, _) = np.dtype(given["dtype"]), given["quantization"]
    if kind == np.dtype(how.dtype) or (scale and how.dtype == "float32"):
        return
    raise ModelError(
        f"model '{entry.name}': its file takes {kind}{'' if scale else ' with no scale of its own'}, and its preprocessing makes "
        f"{how.dtype}; set `dtype: {'float32' if scale or kind == np.float32 else kind}`"
    )
