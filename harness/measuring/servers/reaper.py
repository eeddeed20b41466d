"""Removes what a process made outside itself, whatever way that process ends, `kill -9` included.

A child holds a context manager open until the end of a pipe that only this process holds. So there is one way in
which things go, and success, exception and crash alike take it. What the child is told comes through the pipe: it may
contain a password, which a command line would show.
"""

import asyncio
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from types import FrameType
from typing import Final

import click

from harness.children import environment, line_beginning, modules_of_ours, python
from harness.errors import ProvisioningError
from harness.failures import foreseen
from harness.measuring.servers.lifeline import start

READY: Final = b"ready\n"

ReaperWatch = Callable[[], str]
"""What a context may give its child: waits until what it holds has ended by itself, and returns a sentence on it."""

Ended = Callable[[], Awaitable[str]]
"""The same on the side of the parent; it never returns where the context gives nothing to watch."""


@asynccontextmanager
async def outliving(context: str, **arguments: str) -> AsyncGenerator[Ended]:
    """Enters `module:context_manager` in a child that leaves it when this block or this process ends.

    Raises `ProvisioningError` when it cannot be entered, and at the end when it could not be left; where the block
    fails as well, that goes on, and what was left behind is said on standard error.
    """
    child = await _start()
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps([context, arguments]).encode() + b"\n")
        if await line_beginning(child.stdout, READY):
            yield partial(_ended, child)
    except BaseException:
        if complaint := await _complaint(child):
            click.echo(complaint, err=True)
        raise
    if complaint := await _complaint(child):
        raise ProvisioningError(complaint)


async def _ended(child: asyncio.subprocess.Process) -> str:
    """The child says it in a line, or ends itself without a word."""
    assert child.stdout is not None
    line = await line_beginning(child.stdout, b'"')
    return str(json.loads(line)) if line else _unexplained(await child.wait())


async def _complaint(child: asyncio.subprocess.Process) -> str:
    """Lets the child leave, and says why it could not; empty when it has."""
    _, written = await child.communicate(b"")
    return (written.decode(errors="replace").strip() or _unexplained(child.returncode)) if child.returncode else ""


async def _start() -> asyncio.subprocess.Process:
    """It finds modules where this process does."""
    return await start(*python("-m", __name__), env=environment(**modules_of_ours()), stderr=subprocess.PIPE)


def _unexplained(code: int) -> str:
    return f"What removes the run's server ended by itself (exit code {code}). `harness clean` removes what is left."


def _tell(watch: ReaperWatch) -> None:
    # Not by `print`, whose lock a thread that is cut off would hold.
    os.write(sys.stdout.fileno(), json.dumps(watch()).encode() + b"\n")


def _heed_nothing(_signal: int, _frame: FrameType | None) -> None:
    """Lets the signal pass."""


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # Not SIG_IGN, which what is started here would inherit: a service could not be asked to end.
        signal.signal(ignored, _heed_nothing)
    line = sys.stdin.readline()
    if not line:
        return
    path, arguments = json.loads(line)
    module, _, name = path.partition(":")
    try:
        with getattr(importlib.import_module(module), name)(**arguments) as watch:
            print(READY.decode(), end="", flush=True)  # noqa: T201 -- the answer to who started this
            if watch:
                threading.Thread(target=_tell, args=(watch,), daemon=True).start()
            sys.stdin.read()
    except Exception as error:  # noqa: BLE001 -- whoever started this is told in a sentence
        sys.exit(str(foreseen(error)))


if __name__ == "__main__":
    main()
