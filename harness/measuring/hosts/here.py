"""Processes of this machine: `--workers 4`."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Final

from harness.measuring.hosts._shared.relay import Relay, moments, this_interpreter
from harness.measuring.hosts.protocol import Block, HostsOpened, Interpreter, Moments, HostPlace

WORKERS_MAX: Final = 64
READ_S: Final = 1.0


class Here:
    """The kind of hosts that a number names."""

    def check(self, rest: str) -> None:
        if not 1 <= number_in(rest) <= WORKERS_MAX:
            raise ValueError(f"a run has 1 to {WORKERS_MAX} workers on a machine, and not {rest}")

    @asynccontextmanager
    async def open(self, rest: str) -> HostsOpened:
        yield ThisMachine(number_in(rest))


def number_in(text: str) -> int:
    """Raises `ValueError` where it is none."""
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text!r} is no number of workers") from None


class ThisMachine:
    """So many processes here, which share its clock."""

    is_apart = False

    def __init__(self, workers: int) -> None:
        self.places: Sequence[HostPlace] = [HostPlace("this machine")] * workers

    async def start(self, place: int, task: str, interpreter: Interpreter | None) -> "LocalSlot":
        del place
        chosen = interpreter or this_interpreter()
        relay = Relay(chosen.program, chosen.environment)
        await asyncio.to_thread(relay.tell, task)
        return LocalSlot(relay)


class LocalSlot:
    """A worker beside this process."""

    def __init__(self, relay: Relay) -> None:
        self.relay = relay

    async def tell(self, line: str) -> None:
        self.relay.tell(line)

    async def read(self, position: int) -> Block:
        return await self.relay.read(position, READ_S)

    async def moments(self) -> Moments:
        return moments()

    async def end(self) -> None:
        await self.relay.end()
