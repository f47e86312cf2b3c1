"""Batches of a network on a GPU, so that it never waits for a processor.

Belongs here: the way of a batch to the device and of its arrays back, and a forward pass that is recorded. Does not belong here:
which module it is (``torch_network.py``, ``families``), which batches there are (``runner.py``).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from resources.models.batching import is_out_of_memory
from resources.models.network import Outputs

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)


class DeviceQueue:
    """The batches of a network on a GPU: the next one is on its way while one is computed, so that the device never waits.

    Inputs arrive on a stream of their own. Nobody waits in a loop: a core that watches the device decodes nothing.

    Args:
        compute: ``[N, …]`` on the device -> arrays there; one thread at a time.
        device: ``cuda`` or ``cuda:N``.
        recorded: whether all batches have one shape.
    """

    def __init__(
        self, compute: "Callable[[torch.Tensor], dict[str, torch.Tensor]]", device: str, recorded: bool
    ) -> None:
        import torch

        self._run = _RecordedPass(compute, device) if recorded else compute
        self._device = device
        self._arrivals, self._work = torch.cuda.Stream(device), torch.cuda.Stream(device)
        torch.cuda.synchronize(device)  # the weights have arrived

    def begin(self, batch: NDArray[Any]) -> Callable[[], Outputs]:
        """See ``Network.begin``."""
        import torch

        with torch.inference_mode(), torch.cuda.device(self._device):
            with torch.cuda.stream(self._arrivals):
                arrived = torch.from_numpy(batch).to(self._device, non_blocking=True)
            self._work.wait_stream(self._arrivals)
            with torch.cuda.stream(self._work):
                arrived.record_stream(self._work)
                found = self._run(as_images(arrived))
                leaving = {name: _leaving(value) for name, value in found.items()}
                done = torch.cuda.Event(blocking=True)
                done.record()
        return _Begun(batch, leaving, done)

    def predict(self, batch: NDArray[Any]) -> Outputs:
        """See ``Network.predict``."""
        return self.begin(batch)()


@dataclass(frozen=True)
class _Begun:
    """A batch that a GPU is at; called, it waits for the arrays.

    Attributes:
        batch: the inputs, which must stay as long.
        leaving: the arrays, once it is done.
        done: when that is.
    """

    batch: NDArray[Any]
    leaving: "dict[str, torch.Tensor]"
    done: "torch.cuda.Event"

    def __call__(self) -> Outputs:
        self.done.synchronize()
        return {name: value.numpy().copy() for name, value in self.leaving.items()}


class _RecordedPass:
    """A forward pass on a GPU, recorded at its first batch and replayed for the others: one call in place of hundreds.

    Each of those calls waits for the interpreter's lock, which the threads that decode hold: a pass lost a fifth of the model's
    speed to it. Batches have one size, so that one recording serves until memory runs out. A model that cannot be recorded,
    because it looks at its numbers on the way, is called as it is.

    Args:
        compute: ``[N, …]`` on the device -> arrays there; one thread at a time.
        device: ``cuda`` or ``cuda:N``.
    """

    def __init__(self, compute: "Callable[[torch.Tensor], dict[str, torch.Tensor]]", device: str) -> None:
        self._compute, self._device = compute, device
        self._graph: torch.cuda.CUDAGraph | None = None
        self._input: torch.Tensor | None = None
        self._outputs: dict[str, torch.Tensor] = {}
        self._recordable = True

    def __call__(self, batch: "torch.Tensor") -> "dict[str, torch.Tensor]":
        """The arrays of a batch; they are overwritten by the next call."""
        if not self._recordable:
            return self._compute(batch)
        if self._graph is None or self._input is None or self._input.shape != batch.shape:
            self._graph, self._input, self._outputs = None, None, {}  # a smaller batch comes when memory has run out
            self._record(batch)
        if self._graph is None or self._input is None:
            return self._compute(batch)
        self._input.copy_(batch)
        self._graph.replay()
        return self._outputs

    def _record(self, batch: "torch.Tensor") -> None:
        import torch

        with torch.cuda.device(self._device):
            torch.cuda.current_stream().synchronize()  # the recording before this one may still be replayed
            fixed = batch.clone()
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(2):  # kernels are chosen, and libraries take their working memory
                    self._compute(fixed)
            torch.cuda.current_stream().wait_stream(aside)
            graph = torch.cuda.CUDAGraph()
            try:
                with torch.cuda.graph(graph, capture_error_mode="thread_local"):
                    outputs = self._compute(fixed)
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise
                log.debug("a model that cannot be recorded is called as it is: %s", " ".join(str(error).split())[:200])
                self._recordable = False
                return
        self._graph, self._input, self._outputs = graph, fixed, outputs


def as_images(tensor: "torch.Tensor") -> "torch.Tensor":
    """Images with their channels last in memory, as convolutions want them."""
    import torch

    as_image = tensor.ndim == 4 and tensor.dtype != torch.uint8
    return tensor.contiguous(memory_format=torch.channels_last) if as_image else tensor


def pinned(shape: tuple[int, ...], dtype: "np.dtype[Any]") -> NDArray[Any]:
    """An array in memory that a GPU reads by itself, given back to PyTorch's store of such memory."""
    import torch

    return torch.empty(shape, dtype=getattr(torch, np.dtype(dtype).name), pin_memory=True).numpy()


def _leaving(value: "torch.Tensor") -> "torch.Tensor":
    """A tensor on its way from the device, in memory that it writes by itself."""
    import torch

    return torch.empty(value.shape, dtype=value.dtype, pin_memory=True).copy_(value, non_blocking=True)
