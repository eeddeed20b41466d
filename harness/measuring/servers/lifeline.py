"""Children that see this process end, however it ends: each reads a pipe that only this process holds.

Programs that this process starts never inherit such a pipe (PEP 446), but a forked copy of it would, and
would keep the child waiting after this process is gone: a copy lets go of them at birth.
"""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from typing import IO, Final, Protocol
from weakref import WeakSet


class Closeable(Protocol):
    """A pipe's writing end."""

    def close(self) -> None: ...


_held: Final[WeakSet[Closeable]] = WeakSet()


def hold(pipe: Closeable) -> None:
    """Keeps `pipe` to this process: a copy made by `os.fork` (as `multiprocessing` does) closes its own end."""
    _held.add(pipe)


async def start(
    *command: str,
    env: Mapping[str, str],
    stderr: int | IO[bytes] | None = None,
    pass_fds: Sequence[int] = (),
    line_bytes_max: int = 2**16,
) -> asyncio.subprocess.Process:
    """A child whose standard input ends with this process. In a session of its own, Ctrl-C does not reach it."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=stderr,
        env=env,
        pass_fds=pass_fds,
        start_new_session=True,
        limit=line_bytes_max,
    )
    assert process.stdin is not None
    hold(process.stdin.get_extra_info("pipe"))
    return process


def _let_go() -> None:
    for pipe in tuple(_held):
        pipe.close()


if hasattr(os, "register_at_fork"):  # Windows does not fork.
    os.register_at_fork(after_in_child=_let_go)
