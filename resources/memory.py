"""Returning memory that a process holds but does not need to the operating system.

Belongs here: calls to the C library and the kernel. Does not belong here: how much memory a run may use
(``machine.py``, ``arot_assets.metrics.memory``). Every function does nothing on systems that have no such call.
"""

import ctypes
import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

MMAP_THRESHOLD = 4_000_000
"""Bytes: freed blocks of at least this size are returned immediately; the size of an image of 1.4 megapixels."""

MAPPINGS = Path("/proc/self/maps")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MADV_PAGEOUT = 21


@cache
def return_freed_memory() -> None:
    """Make glibc return large freed blocks at once, and keep few arenas.

    By default the threshold grows with the largest freed block (up to 32 MB), so that decoded images of up to 10 megapixels
    are allocated from heaps, one per thread, that never shrink: hundreds of megabytes after an hour of photos.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, MMAP_THRESHOLD)


def release_loaded() -> None:
    """Return what loading libraries left behind: free pieces of the heap, and file pages that were used only once.

    Loading PyTorch's ordinary build touches some 400 MB of CUDA, Triton and LLVM code, for relocations and start-up
    tables that a run on a CPU never uses again. These are clean pages of files, so the kernel can drop them
    (``MADV_PAGEOUT``, Linux 5.4 or newer); whatever is needed later is read from disk again. The kernel does so only
    for files that the user owns or may write.
    """
    libc: Any = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(ctypes.c_size_t(0))
    if sys.platform != "linux" or not MAPPINGS.exists():
        return
    for line in MAPPINGS.read_text().splitlines():
        addresses, rights, _, _, _, *file = line.split(maxsplit=5)
        if file and file[0].startswith("/") and "w" not in rights:  # never pages that the process has written
            start, end = (int(address, 16) for address in addresses.split("-"))
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _MADV_PAGEOUT)


def resident_bytes() -> int:
    """Bytes of memory that this process holds now; 0 where the system does not report it."""
    status = Path("/proc/self/statm")
    return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 0
