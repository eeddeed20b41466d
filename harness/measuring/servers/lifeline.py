"""Pipes that only this process holds, so that a child reading one sees this process end, however it ends.

Programs that this process starts never inherit such a pipe (PEP 446), but a forked copy of it would, and
would keep the child waiting after this process is gone: a copy lets go of them at birth.
"""

import os
from typing import Final, Protocol
from weakref import WeakSet


class Closeable(Protocol):
    """A pipe's writing end."""

    def close(self) -> None: ...


_held: Final[WeakSet[Closeable]] = WeakSet()


def hold(pipe: Closeable) -> None:
    """Keeps `pipe` to this process: a copy made by `os.fork` (as `multiprocessing` does) closes its own end."""
    _held.add(pipe)


def _let_go() -> None:
    for pipe in tuple(_held):
        pipe.close()


if hasattr(os, "register_at_fork"):  # Windows does not fork.
    os.register_at_fork(after_in_child=_let_go)
