"""Arrays as files: NumPy and safetensors.

Belongs here: reading and writing them. Does not belong here: which extension means what (``formats.py``).
"""

import io
from collections.abc import Mapping
from typing import IO, Any


def read_npy(file: IO[bytes], _as: str) -> Any:
    """An array; pickled objects are refused, since they may run code."""
    import numpy as np

    return np.load(file, allow_pickle=False)


def write_npy(data: Any) -> bytes:
    """An array of numbers."""
    import numpy as np

    sink = io.BytesIO()
    np.save(sink, np.asarray(data), allow_pickle=False)
    return sink.getvalue()


def read_safetensors(file: IO[bytes], as_: str) -> Any:
    """Name -> array. ``as_="torch"`` returns tensors, which support bfloat16."""
    if as_ == "torch":
        import safetensors.torch

        return safetensors.torch.load(file.read())
    import safetensors.numpy

    return safetensors.numpy.load(file.read())


def write_safetensors(data: Mapping[str, Any], *, metadata: dict[str, str] | None = None) -> bytes:
    """Arrays or tensors by name."""
    if any(type(value).__module__.startswith("torch") for value in data.values()):
        import safetensors.torch

        return safetensors.torch.save({k: v.contiguous() for k, v in data.items()}, metadata)
    import numpy as np
    import safetensors.numpy

    return safetensors.numpy.save({k: np.ascontiguousarray(v) for k, v in data.items()}, metadata)
