"""Says where in the project's own code something was sent from: the line that a reader can change, not the driver's."""

import asyncio
import inspect
import os
import sysconfig
from functools import cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

OUTSIDE: Final = "outside of the project"

_INSTALLED: Final = ("site-packages", "dist-packages")
_NOT_THE_PROJECTS: Final = tuple(
    f"{os.path.realpath(place)}{os.sep}"
    for place in (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), str(Path(__file__).parents[3]))
)
_LOOPS: Final[frozenset[CodeType]] = frozenset({asyncio.Handle._run.__code__, asyncio.Runner.run.__code__})  # noqa: SLF001 -- the frame that a task's are called from
"""Below these stands whoever runs the loop, who has sent nothing."""


def place_of_sender() -> str:
    """The innermost line of the project that waits for what is sent now; empty where a task has none."""
    frame: FrameType | None = inspect.currentframe()
    while frame is not None and frame.f_code not in _LOOPS:
        if is_the_projects(frame.f_code.co_filename):
            return place(frame.f_code.co_filename, frame.f_lineno)
        frame = frame.f_back
    return ""


def place_that_awaits(task: "asyncio.Task[Any] | None") -> str:
    """The same of a task that waits for others, as for what it gave to `asyncio.gather`."""
    found, waiting = "", task.get_coro() if task else None
    while waiting is not None:
        frame: FrameType | None = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
        if frame is not None and is_the_projects(frame.f_code.co_filename):
            found = place(frame.f_code.co_filename, frame.f_lineno)
        waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return found


@cache
def is_the_projects(file: str) -> bool:
    installed = any(each in Path(file).parts for each in _INSTALLED)
    return not file.startswith("<") and not installed and not os.path.realpath(file).startswith(_NOT_THE_PROJECTS)


def place(file: str, line: int) -> str:
    """`shop/orders.py:12`, from the current directory where it lies below."""
    relative = os.path.relpath(file)
    return f"{file if relative.startswith(os.pardir) else relative}:{line}"
