"""Removes what a process made outside itself, whatever way that process ends, `kill -9` included.

A child holds a context manager open until the end of a pipe that only this process holds. So there is one way in
which things go, and success, exception and crash alike take it. What the child is told comes through the pipe: it may
contain a password, which a command line would show.
"""

import asyncio
import importlib
import json
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import click

from harness.children import environment, modules_of_ours, python
from harness.errors import HarnessError, ProvisioningError
from harness.lifeline import hold

READY: Final = b"ready\n"


@asynccontextmanager
async def outliving(context: str, **arguments: str) -> AsyncGenerator[None]:
    """Enters `module:context_manager` in a child that leaves it when this block or this process ends.

    Raises `ProvisioningError` when it cannot be entered, and at the end when it could not be left; where the block
    fails as well, that goes on, and what was left behind is said on standard error.
    """
    child = await _start()
    assert child.stdin is not None
    assert child.stdout is not None
    try:
        child.stdin.write(json.dumps([context, arguments]).encode() + b"\n")
        if await child.stdout.readline() == READY:
            yield
    except BaseException:
        if complaint := await _complaint(child):
            click.echo(complaint, err=True)
        raise
    if complaint := await _complaint(child):
        raise ProvisioningError(complaint)


async def _complaint(child: asyncio.subprocess.Process) -> str:
    """Lets the child leave, and says why it could not; empty when it has."""
    _, written = await child.communicate(b"")
    return (written.decode(errors="replace").strip() or _unexplained(child.returncode)) if child.returncode else ""


async def _start() -> asyncio.subprocess.Process:
    """In a session of its own, Ctrl-C does not reach the child. It finds modules where this process does."""
    child = await asyncio.create_subprocess_exec(
        *python("-m", __name__),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(**modules_of_ours()),
        start_new_session=True,
    )
    assert child.stdin is not None
    hold(child.stdin.get_extra_info("pipe"))
    return child


def _unexplained(code: int) -> str:
    return f"What removes the run's server ended by itself (exit code {code}). `harness clean` removes what is left."


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    told = sys.stdin.readline()
    if not told:
        return
    path, arguments = json.loads(told)
    module, _, name = path.partition(":")
    try:
        with getattr(importlib.import_module(module), name)(**arguments):
            print(READY.decode(), end="", flush=True)  # noqa: T201 -- the answer to who started this
            sys.stdin.read()
    except HarnessError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
