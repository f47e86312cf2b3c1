"""A module of PyTorch as a graph that ONNX Runtime runs: converted once, compared with the module, and kept in the model cache.

Belongs here: converting, comparing, finding it again. Does not belong here: sessions (``families/onnx.py``), which engine is
taken (``which_family.py``). Worth it for small convolutional networks on a CPU, whose layers are fused.
"""

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from resources.beside import folder_beside
from resources.models.entry import ModelEntry, ModelError

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

OPSET = 18
BATCH = 4
"""Of the inputs that a graph is compared on."""
CONVERTERS = ("torch", "onnxscript", "timm")
FOLDER = "converted"


class ConversionError(ModelError):
    """A module that cannot be converted with the same numbers."""


def converted(
    entry: ModelEntry,
    kept: str,
    made: "Callable[[], tuple[torch.nn.Module, Callable[[Any, torch.Tensor], dict[str, torch.Tensor]]]]",
    shape: Sequence[int],
) -> Path:
    """The file of an entry's graph: ``input [N, …]`` -> arrays by name.

    A file that is kept carries the hash of its content in its name; one that has another content is made anew.

    Args:
        entry: what it is of; its fingerprint, and the versions of what converts it, find it again.
        kept: folder of the model cache.
        made: the module, and its forward pass; called only if the graph is not there.
        shape: of one input.

    Raises:
        ConversionError: it cannot be converted, or its numbers differ by more than ``entry.tolerance`` of their spread.
    """
    versions = {name: metadata.version(name) for name in CONVERTERS}
    key = hashlib.sha256(json.dumps([entry.fingerprint(), OPSET, versions], sort_keys=True).encode()).hexdigest()[:24]
    folder = Path(kept) / FOLDER
    for file in folder.glob(f"{key}-*.onnx"):
        if file.stem == f"{key}-{_digest(file)}":
            return file
        log.warning(
            "model %s: %s has another content than it was written with; it is converted again", entry.name, file
        )
    folder.mkdir(parents=True, exist_ok=True)
    with folder_beside(folder) as beside:
        part = beside / "graph.onnx"
        _convert(entry, *made(), shape, part)
        file = folder / f"{key}-{_digest(part)}.onnx"
        os.replace(part, file)
    return file


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _convert(
    entry: ModelEntry,
    module: "torch.nn.Module",
    forward: "Callable[[Any, torch.Tensor], dict[str, torch.Tensor]]",
    shape: Sequence[int],
    file: Path,
) -> None:
    import torch

    class Named(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = module

        def forward(self, given: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(forward(self.inner, given).values())

    example = torch.from_numpy(np.random.default_rng(0).standard_normal((BATCH, *shape)).astype(np.float32))
    with torch.inference_mode():
        expected = {name: value.numpy() for name, value in forward(module, example).items()}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the converter, about itself
            torch.onnx.export(
                Named().eval(),
                (example,),
                str(file),
                input_names=["input"],
                output_names=list(expected),
                dynamic_shapes=({0: torch.export.Dim("images")},),
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        _compare(entry, file, example.numpy(), expected)
    except ConversionError:
        raise
    except Exception as error:  # the converter has no base class of errors
        said = " ".join(str(error).split())[:200]
        raise ConversionError(f"model '{entry.name}': it cannot be converted for ONNX Runtime: {said}") from error


def _compare(entry: ModelEntry, file: Path, inputs: Any, expected: Mapping[str, Any]) -> None:
    import onnxruntime

    runtime = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for name, found in zip(expected, runtime.run(list(expected), {"input": inputs}), strict=True):
        spread = float(expected[name].std()) or 1.0
        worst = float(np.abs(found - expected[name]).max()) / spread
        if not worst <= entry.tolerance:
            raise ConversionError(
                f"model '{entry.name}': {name} of its graph for ONNX Runtime differs from the module by {worst:.2g} of its "
                f"spread, and {entry.tolerance:.2g} are allowed"
            )
