"""Returning memory that a process holds but does not need to the operating system.

Belongs here: calls to the C library and the kernel. Does not belong here: how much memory a run may use
(``machine.py``, ``arot_assets.metrics.memory``). Every function does nothing on systems that have no such call.
"""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

MMAP_THRESHOLD = 4_000_000
"""Bytes: freed blocks of at least this size are returned immediately; the size of an image of 1.4 megapixels."""
KEPT = 1 << 30
"""The same where memory is plentiful: every block is kept."""
PLENTY = 1_000_000_000
"""Bytes for each thread from which on freed memory is kept: an image of 100 megapixels takes as much while it is decoded."""

MAPPINGS = Path("/proc/self/maps")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
_MADV_PAGEOUT = 21


def settle_freed_memory(limit: int, threads: int) -> None:
    """Say what becomes of large blocks that are freed from now on, and return what is free now where memory is short.

    A block that is returned and taken again costs a page fault for every 4 KB, for which the threads of a process wait for each
    other: 16 threads lose up to a third of what they decode. So with plenty of memory the blocks stay. Otherwise glibc gives them
    back at once, and has few arenas: by its default the threshold grows with the largest freed block (up to 32 MB), so that
    decoded images of up to 10 megapixels are taken from heaps, one per thread, that never shrink: hundreds of megabytes after an
    hour of photos.

    Args:
        limit: bytes that the process may hold.
        threads: how many share them.
    """
    libc: Any = ctypes.CDLL(None)
    keep = limit // threads >= PLENTY
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 8 * (os.cpu_count() or 1) if keep else 2)
        for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            libc.mallopt(option, KEPT if keep else MMAP_THRESHOLD)
    if not keep or resident_bytes() > limit // 2:
        _return_free(libc)


def _return_free(libc: Any) -> None:
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(ctypes.c_size_t(0))


def release_loaded() -> None:
    """Return what loading libraries left behind: free pieces of the heap, and file pages that were used only once.

    Loading PyTorch's ordinary build touches some 400 MB of CUDA, Triton and LLVM code, for relocations and start-up
    tables that a run on a CPU never uses again. These are clean pages of files, so the kernel can drop them
    (``MADV_PAGEOUT``, Linux 5.4 or newer); whatever is needed later is read from disk again. The kernel does so only
    for files that the user owns or may write.
    """
    libc: Any = ctypes.CDLL(None)
    _return_free(libc)
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
