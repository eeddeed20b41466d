"""Says how much memory this process has given out and not got back, which a leak adds to at once.

Resident memory shows it late: what was freed before is given out again first, and pages are counted by the arena.
Nothing is traced here, which would slow down what is measured: both are counters that allocators keep anyway.
"""

import asyncio
import ctypes
import gc
import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

KEPT: Final = "client_kept_bytes"
SMALL_BYTES: Final = 64
"""What a block of Python's own allocator is taken for, which says how many there are and not how large."""

TIMERS: Final = 1_000
LATER_S: Final = 3_600.0


class _Mallinfo2(ctypes.Structure):
    """As glibc declares it."""

    _fields_ = tuple(
        (name, ctypes.c_size_t)
        for name in (
            *("arena", "ordblks", "smblks", "hblks", "hblkhd"),
            *("usmblks", "fsmblks", "uordblks", "fordblks", "keepcost"),
        )
    )


@cache
def _mallinfo2() -> Callable[[], _Mallinfo2] | None:
    """None where the C library is no glibc, or one before 2.33."""
    found = getattr(ctypes.CDLL(None), "mallinfo2", None)
    if found is not None:
        found.restype = _Mallinfo2
    return found


def kept_memory() -> Mapping[str, float]:
    """Adds up what malloc has given out, in use or mapped, and what Python has in small blocks."""
    given_out = _mallinfo2()
    large = 0
    if given_out is not None:
        found = given_out()
        large = found.uordblks + found.hblkhd
    return {KEPT: float(large + SMALL_BYTES * sys.getallocatedblocks())}


async def throw_garbage_away() -> None:
    """So that it counts for no request, with the timers that were cancelled: asyncio keeps some hundred of them.

    It throws them away once they are most of its timers.
    """
    loop = asyncio.get_running_loop()
    for timer in [loop.call_later(LATER_S, int) for _ in range(TIMERS)]:
        timer.cancel()
    await asyncio.sleep(0)
    gc.collect()
