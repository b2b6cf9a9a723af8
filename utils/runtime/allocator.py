"""How the C library keeps memory, where it is glibc; others do as they do.

A training step allocates and frees the same few gigabytes each time. By default large blocks come
from the kernel and go back at once, and the kernel clears each page anew.
"""

import ctypes

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD, M_MMAP_MAX = -1, -2, -3, -4  # malloc.h
MIB = 2**20


def keep_freed_memory() -> None:
    """For the blocks to come: fast, and what was used once stays with the program."""
    _set(M_MMAP_MAX, 0)
    _set(M_TRIM_THRESHOLD, -1)  # nothing is ever given back
    _set(M_TOP_PAD, 64 * MIB)


def return_freed_memory() -> None:
    """At once, so that the program never has much more than it needs."""
    _set(M_MMAP_THRESHOLD, MIB)
    _set(M_TRIM_THRESHOLD, MIB)


def _set(option: int, value: int) -> None:
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(option, value)
