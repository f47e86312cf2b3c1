"""Batches that fit: split the work, and halve the batch when the device runs out of memory.

Belongs here: the size of a batch and what to do when it is too large.
Does not belong here: the model. Any callable over a chunk of items can be run.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from resources.machine import gpu_share

Item = TypeVar("Item")
Result = TypeVar("Result")

log = logging.getLogger(__name__)


class BatchRunner:
    """Feeds chunks of at most ``size`` items to a callable; thread-safe.

    Attributes:
        size: the largest chunk. It only decreases: a size that did not fit is not tried again in this process.
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"batch size must be at least 1, got {size}")
        self.size = size
        self._lock = threading.Lock()

    def run(self, items: Sequence[Item], compute: Callable[[Sequence[Item]], Result]) -> list[Result]:
        """Call ``compute`` on consecutive chunks; the results are in order.

        Raises:
            MemoryError: even a single item does not fit.
        """
        results: list[Result] = []
        start = 0
        while start < len(items):
            size = self.size
            chunk = items[start : start + size]
            try:
                results.append(compute(chunk))
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._halve(size, error)
                continue
            start += len(chunk)
        return results

    def _halve(self, tried: int, error: BaseException) -> None:
        if tried == 1:
            more = ", a larger part of the GPU ($AROT_UNIT_GPUS)" if gpu_share() < 1 else ""
            raise MemoryError(
                f"out of memory with a single image: {error}; use a smaller model{more} or resources.models.device='cpu'"
            ) from error
        with self._lock:
            self.size = min(self.size, max(1, tried // 2))
        _release_cached_memory()
        log.warning("out of memory with a batch of %d, continuing with %d", tried, self.size)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` is how CUDA, MPS, PyTorch's CPU allocator or NumPy report that memory is exhausted."""
    # torch.OutOfMemoryError is a RuntimeError whose message says "out of memory", so no torch is needed to tell
    text = str(error).lower()
    return isinstance(error, MemoryError) or "out of memory" in text or "defaultcpuallocator: can't allocate" in text


def _release_cached_memory() -> None:
    """Release the CUDA allocator's cached blocks, so that the smaller batch can be allocated."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()
