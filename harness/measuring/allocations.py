"""Counts what requests allocate in this process, by memray, in the profiling pass and apart from its other profilers.

memray makes each allocation slower, so it goes with none that times anything. It is no dependency: where it is not
installed, nothing says what requests allocate.
"""

import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

MODULE: Final = "memray"
MISSING: Final = "memray is not installed, so nothing says what requests allocate: pip install memray"
SUFFIX: Final = ".memray.bin"
FREES: Final = ("FREE", "MUNMAP", "PYMALLOC_FREE")
"""What memray records beside allocations."""


def found_memray() -> Any | None:  # noqa: ANN401 -- a package that need not be there
    try:
        return importlib.import_module(MODULE)
    except ImportError:
        return None


async def allocated(file: Path, perform: Callable[[], Awaitable[int]]) -> float | None:
    """Says how often each of the requests that are performed allocates; None without memray.

    Leaves memray's own file, for its reporters.
    """
    memray = found_memray()
    if memray is None:
        return None
    place = file.with_name(f"{file.name}{SUFFIX}")
    place.unlink(missing_ok=True)
    with memray.Tracker(str(place), trace_python_allocators=True):
        requests = await perform()
    frees = {getattr(memray.AllocatorType, name).value for name in FREES}
    with memray.FileReader(str(place)) as reader:
        return sum(each.allocator not in frees for each in reader.get_allocation_records()) / requests
