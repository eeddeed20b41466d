"""Processes of this machine: `--workers 4`."""

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager
from typing import Final

from harness.measuring.hosts._shared.numbers import number_in
from harness.measuring.hosts._shared.relay import Relay, moments, this_interpreter
from harness.measuring.hosts.protocol import Block, Draw, HostPlace, HostsOpened, Interpreter, Moments

READ_S: Final = 1.0


class Here:
    """The kind of hosts that a number names."""

    def check(self, rest: str) -> None:
        number_in(rest)

    @asynccontextmanager
    async def open(self, rest: str) -> HostsOpened:
        yield ThisMachine(number_in(rest))


class ThisMachine:
    """So many processes here, which share its clock."""

    is_apart = False

    def __init__(self, workers: int) -> None:
        self.places: Sequence[HostPlace] = [HostPlace("this machine")] * workers

    async def check(self, target: str, draw: Draw | None) -> None:
        """This machine has what it has."""

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
