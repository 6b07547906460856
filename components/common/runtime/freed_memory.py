"""Freed memory goes back to the system, so that what a process holds is what it uses."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3  # M_MMAP_THRESHOLD of glibc's malloc.h
_LARGE = 4 * 2**20


def return_large_blocks() -> None:
    """From here on the C library returns blocks of 4 MiB and more as soon as they are freed.

    Left alone, glibc raises that size to 32 MiB as it goes and keeps smaller blocks for the thread that freed them:
    with many threads hundreds of megabytes of decoded images that are gone. Other C libraries are left as they are.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_MMAP_THRESHOLD, _LARGE)
