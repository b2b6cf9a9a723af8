"""How glibc's allocator keeps freed memory; with another C library nothing changes.

A training step allocates and frees the same few gigabytes each time. By default glibc asks the
kernel for each large block and returns it at once, and the kernel clears every page anew.
"""

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4  # malloc.h
MIB = 2**20


def keep_freed_memory() -> None:
    """Keep all freed memory for later blocks: faster, but the program never shrinks."""
    _set(M_MMAP_MAX, 0)
    _set(M_TRIM_THRESHOLD, -1)
    _set(M_TOP_PAD, 64 * MIB)


def return_freed_memory() -> None:
    """Return freed memory to the kernel at once: slower, but the program stays small."""
    _set(M_MMAP_THRESHOLD, MIB)
    _set(M_TRIM_THRESHOLD, MIB)


def _set(option: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(option, value)
