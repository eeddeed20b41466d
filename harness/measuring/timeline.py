"""Plays a scenario's timeline: disrupts the database while a phase is measured, and records when that really was.

Not for what a disruption is: provisioners do those of the server, and the delay proxy cuts the network.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from harness.errors import ProvisioningError
from harness.measuring.clock import Clock
from harness.measuring.scenario import Action, TimelineEntry
from harness.measuring.servers.network import DelayProxy
from harness.measuring.servers.provisioners.protocol import Server
from harness.record import DisruptionRecord


def refuse_impossible(entries: Sequence[TimelineEntry], server: Server) -> None:
    """Raises `ProvisioningError` for what this server cannot do, so that it is known before anything is measured."""
    for entry in entries:
        if entry.action != "cut_network" and entry.action in server.cannot:
            raise ProvisioningError(
                f"The timeline wants {entry.action} at {entry.at_s:g} s of {entry.phase!r}, which cannot be had from "
                f"the provisioner {server.facts.provisioner}. {server.cannot[entry.action]}"
            )


@dataclass(frozen=True, slots=True)
class Disruptor:
    """Does what a timeline says to a server and to the network before it; `proxy` is there where one is cut."""

    server: Server
    proxy: DelayProxy | None

    def __call__(self, action: Action) -> AbstractAsyncContextManager[None]:
        if action == "cut_network":
            assert self.proxy is not None, "a scenario that cuts the network goes through a proxy"
            return self.proxy.cut()
        return self.server.disrupted(action)


@dataclass(frozen=True, slots=True)
class Timeline:
    """The entries of one phase in one round. `begun` is when the phase did, `zero` the zero of the recorded offsets."""

    entries: Sequence[TimelineEntry]
    round_number: int
    zero: float
    begun: float
    clock: Clock
    disrupt: Callable[[Action], AbstractAsyncContextManager[None]]
    record: Callable[[DisruptionRecord], None]

    @asynccontextmanager
    async def playing(self) -> AsyncGenerator[None]:
        """Plays beside the block. What is under way when that ends is restored then, and what is left is not begun."""
        if not self.entries:
            yield
            return
        over = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._play(over))
            yield
            over.set()

    async def _play(self, over: asyncio.Event) -> None:
        """One after the other: an entry waits until the one before it has been restored."""
        for entry in sorted(self.entries, key=lambda entry: entry.at_s):
            await self._until(self.begun + entry.at_s, over)
            if over.is_set():
                self._record(entry)
            else:
                await self._disrupt(entry, over)

    async def _disrupt(self, entry: TimelineEntry, over: asyncio.Event) -> None:
        started = self.clock.now()
        ended: float | None = None
        try:
            async with self.disrupt(entry.action):
                await self._until(self.clock.now() + (entry.for_s or 0.0), over)
            ended = self.clock.now()
        finally:
            self._record(entry, started, ended)

    def _record(self, entry: TimelineEntry, started: float | None = None, ended: float | None = None) -> None:
        self.record(
            DisruptionRecord(
                round=self.round_number,
                phase=entry.phase,
                action=entry.action,
                planned_s=entry.at_s,
                started_s=None if started is None else started - self.zero,
                ended_s=None if ended is None else ended - self.zero,
            )
        )

    async def _until(self, moment: float, over: asyncio.Event) -> None:
        """Returns at the moment, or earlier when the phase is over."""
        waits = [asyncio.create_task(self.clock.until(moment)), asyncio.create_task(over.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
