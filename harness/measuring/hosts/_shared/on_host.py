"""Functions that a coordinator has a dask worker call: each slot of it is one worker process of ours.

Dask carries words and measures nothing: in its threads and its loop starts would be late by milliseconds.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from harness.measuring.hosts._shared.relay import POLL_S, Relay, this_interpreter
from harness.measuring.hosts.protocol import Block, Draw

READ_S: Final = 1.0
LEASE_S: Final = 60.0
"""A coordinator asks every second. One that has not for so long is gone, and its worker with it."""

DIGITS: Final = 12


class Lent:
    """A worker process that a coordinator has here, until it lets go of it or is not heard any more."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay
        self.is_let_go = False
        self._heard = time.monotonic()

    def heard(self) -> Relay:
        self._heard = time.monotonic()
        return self.relay

    @property
    def is_wanted(self) -> bool:
        return not self.is_let_go and time.monotonic() - self._heard < LEASE_S


_LENT: Final[dict[str, Lent]] = {}
"""The slots of this process."""


def carried(slot: str, task: str) -> None:
    """A dask task: starts the worker of a slot, and lasts as long as that is wanted."""
    interpreter = this_interpreter()
    lent = _LENT[slot] = Lent(Relay(interpreter.program, interpreter.environment))
    try:
        lent.relay.tell(task)
        while lent.is_wanted:
            time.sleep(POLL_S)
    finally:
        del _LENT[slot]
        asyncio.run(lent.relay.end())


async def read_slot(slot: str, position: int) -> Block:
    """Returns what its worker has written; nothing of one that dask has not begun yet."""
    if slot not in _LENT:
        await asyncio.sleep(POLL_S)
        return Block()
    return await _LENT[slot].heard().read(position, READ_S)


def tell_slot(slot: str, line: str) -> None:
    _LENT[slot].heard().tell(line)


def let_go_of(slot: str) -> None:
    if slot in _LENT:
        _LENT[slot].is_let_go = True


def identity(target: str) -> dict[str, str]:
    """The versions of what measures and of what is measured, each with a digest of its sources."""
    measured = "anima" if ":" not in target else target.partition(":")[0]
    return {
        "the harness": f"{version('anima-harness')}, sources {_digest('harness')}",
        "the target": f"{target}, sources {_digest(measured)}",
    }


async def drawn(draw: Draw) -> str:
    """Beside dask's loop, which is to answer meanwhile."""
    return await asyncio.to_thread(draw)


def _digest(module: str) -> str:
    """Of all that is Python in a package or module."""
    digest = hashlib.sha256()
    for name, path in _sources(module):
        digest.update(name.encode() + path.read_bytes())
    return digest.hexdigest()[:DIGITS]


def _sources(module: str) -> Iterator[tuple[str, Path]]:
    try:
        spec = find_spec(module)
    except ModuleNotFoundError:
        return
    if spec is None:
        return
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    if not places and spec.origin:
        yield module, Path(spec.origin)
    for place in places:
        yield from ((path.relative_to(place).as_posix(), path) for path in sorted(place.rglob("*.py")))
