"""Where a request spends its time in this process, waiting included: pyinstrument's samples as folded stacks.

In asyncio a wait belongs to what is awaited, so a slow statement shows under the function that sent it. Only the
requests' own task is followed: what other tasks do meanwhile shows as waiting.
"""

import sys
import sysconfig
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from pyinstrument import Profiler as Sampler
from pyinstrument.frame_info import parse_frame_info
from pyinstrument.renderers import HTMLRenderer, SpeedscopeRenderer
from pyinstrument.session import Session

from harness.frames import AWAITED, library_frame, own_frame, statement_frame
from harness.measuring.profilers._shared.senders import Senders, within_request
from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.statements import telling

INTERVAL_S: Final = 0.001
STANDARD_LIBRARY: Final = sysconfig.get_path("stdlib")
INSTALLED: Final = ("/site-packages/", "/dist-packages/")
INTERPRETER: Final = "python"
HIDDEN: Final = ("contextlib.py", "asyncio/tasks.py", "asyncio/timeouts.py")
"""Frames that only pass a call on; naming them would split equal stacks and explain nothing."""


class PythonStacks:
    """Leaves files for other tools: folded stacks in microseconds, speedscope's JSON, and pyinstrument's own page."""

    @asynccontextmanager
    async def observe(self, subject: ProfiledOperation) -> AsyncGenerator[dict[str, Any]]:
        sampler = Sampler(interval=INTERVAL_S, async_mode="enabled")
        observed: dict[str, Any] = {}
        senders = Senders()
        sampler.start()
        try:
            with telling(senders.note):
                yield observed
        finally:
            session = sampler.stop()
        observed["stacks"] = fold(session, senders, subject.packages)
        write_files(session, observed["stacks"], subject.file)


def fold(session: Session, senders: Senders, packages: Collection[str]) -> dict[str, float]:
    """Seconds per stack; frames are separated by `;`, the outermost first."""
    folded: defaultdict[str, float] = defaultdict(float)
    for frames, time_s in session.frame_records:
        if stack := tuple(named(frames, senders, packages)):
            folded[";".join(stack)] += time_s
    return dict(folded)


def named(frames: Sequence[str], senders: Senders, packages: Collection[str] = ()) -> Iterator[str]:
    """The request's own frames by file, class and function. Line numbers stay out: they move with every edit.

    Of a library's frames in a row only the first is kept: what was called counts, and not how it does its work. Where
    it was called to send a statement, that stands before it.
    """
    library, inside = "", within_request(frames)
    for depth, frame in enumerate(inside):
        identifier, attributes = parse_frame_info(frame)
        function, _, place = identifier.partition("\x00")
        path = place.partition("\x00")[0]
        if function == AWAITED:
            yield AWAITED
        elif not path.endswith(HIDDEN):
            called = library_of(path, packages)
            if called and not library and (statement := senders.statement(inside[:depth])):
                yield statement_frame(statement)
            if not called or called != library:
                owner = next((f"{attribute[1:]}." for attribute in attributes if attribute.startswith("c")), "")
                qualified = f"{owner}{function}"
                name = library_frame(called, qualified) if called else own_frame(shortened(path), qualified)
                yield name.replace(";", ",")
            library = called


def library_of(path: str, packages: Collection[str]) -> str:
    """The installed package or the module of the standard library that a file belongs to; empty for other code.

    The packages that are measured are other code, installed or not.
    What has no file is the interpreter's: built-in functions, and the import that a library does at its first call.
    """
    if path.startswith("<"):
        return INTERPRETER
    installed = _installed(path)
    standard = path.removeprefix(f"{STANDARD_LIBRARY}/") if path.startswith(f"{STANDARD_LIBRARY}/") else ""
    library = (installed or standard).partition("/")[0].removesuffix(".py")
    return "" if installed and library in packages else library


def shortened(path: str) -> str:
    """A file as its import path's folder names it: `anima/memory.py`, wherever the repository is, or the wheel."""
    if installed := _installed(path):
        return installed
    roots = sorted((root for root in sys.path if root and path.startswith(f"{root}/")), key=len)
    return path[len(roots[-1]) + 1 :] if roots else Path(path).name


def _installed(path: str) -> str:
    """Below the folder of installed packages; empty for what lies elsewhere."""
    return next((path.rpartition(folder)[2] for folder in INSTALLED if folder in path), "")


def write_files(session: Session, stacks: dict[str, float], file: Path) -> None:
    folded = "".join(f"{stack} {round(time_s * 1_000_000)}\n" for stack, time_s in sorted(stacks.items()))
    file.with_name(f"{file.name}.folded").write_text(folded, encoding="utf-8")
    file.with_name(f"{file.name}.speedscope.json").write_text(SpeedscopeRenderer().render(session), encoding="utf-8")
    file.with_name(f"{file.name}.html").write_text(HTMLRenderer().render(session), encoding="utf-8")
