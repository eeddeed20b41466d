"""Says who goes next: each client is held before each of its statements, and one at a time is let go.

Who waits there for another's lock is known by asking the server, never by a guess of how long a statement takes.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Final

import asyncpg

from anima.connections import Row
from anima.database import Database, Effects, Session, Statement
from harness.measuring.targets.anima.concurrency.interleavings import ConnectionLoss

LOOK_S: Final = 0.002
"""A statement that has no answer after this is looked for among those that wait."""

LOOPS_UNTIL_STILL: Final = 40
"""So often everything in this process that can go on has gone on: a client that still is nowhere waits for another."""

BLOCKED: Final = "SELECT pid, blocking FROM unnest($1::int[]) AS pid, unnest(pg_blocking_pids(pid)) AS blocking"


class Killed(BaseException):
    """The client ends here; nothing may catch it and go on."""


@dataclass(slots=True, eq=False)
class SteeredClient:
    """One of those who meet: where it is, and what is going to happen to its connection."""

    number: int
    """Its place among those who meet, by which turns name it."""
    disruption: ConnectionLoss | None = None
    """What is still going to happen to its connection."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set whenever it has come elsewhere; all of them have the same."""
    severs: Callable[[int], Awaitable[None]] | None = None
    """Ends a process of the server."""
    is_held: bool = True
    """Whether it is stopped before each statement; else the machine decides."""
    grant: "asyncio.Future[None] | None" = None
    """What it is held by."""
    at: str = ""
    """The statement that it is held before, or does."""
    away: int = 0
    """How many waits for the server it is in: to take a connection, or for an answer."""
    pid: int | None = None
    """The server's process for its last statement."""
    waits: int = 0
    """How many waits for an answer it has begun."""
    step: str = ""
    """The kind of what it does."""
    is_dead: bool = False
    """Whether it was killed, and may do nothing more."""
    is_done: bool = False
    """Whether it has ended."""
    deadlocks: list[str] = field(default_factory=list[str])
    """The statements of its that a deadlock ended."""

    async def pass_(self, name: str) -> None:
        if self.is_dead:
            raise Killed
        self.at = name
        if self.is_held:
            self.grant = asyncio.get_running_loop().create_future()
            self.changed.set()
            await self.grant

    def let_go(self) -> None:
        assert self.grant is not None, "only who is held is let go"
        grant, self.grant = self.grant, None
        grant.set_result(None)

    @asynccontextmanager
    async def waiting(self, pid: int | None = None) -> AsyncGenerator[None]:
        """Around a wait for the server."""
        self.away += 1
        self.pid = pid or self.pid
        try:
            yield
        finally:
            self.away -= 1
            self.changed.set()

    async def sever(self, pid: int) -> None:
        assert self.severs is not None, "only clients of a script lose connections"
        async with self.waiting():
            await self.severs(pid)

    def is_disrupted(self, name: str) -> bool:
        """Once, at the wait that the disruption names."""
        return self.disruption is not None and self.disruption.at in (self.waits, name)

    def finish(self) -> None:
        self.is_done = True
        self.changed.set()


current_client: ContextVar[SteeredClient | None] = ContextVar("current_client", default=None)
"""The client for whom the current task works; None before and after they meet."""


class SteeredSession(Session):
    """Passes its client's gate before each wait for the server, and loses its connection where that is to happen."""

    __slots__ = ()

    async def fetch(self, statement: Statement, *arguments: object) -> list[Row]:
        async with self._steered(statement.name):
            return await Session.fetch(self, statement, *arguments)

    async def execute(self, statement: Statement, *arguments: object) -> int:
        async with self._steered(statement.name):
            return await Session.execute(self, statement, *arguments)

    async def _control(self, name: str, act: Callable[[], Awaitable[Any]]) -> None:
        async with self._steered(name):
            await Session._control(self, name, act)  # noqa: SLF001 -- of its own class, which slots hide from super()

    @asynccontextmanager
    async def _steered(self, name: str) -> AsyncGenerator[None]:
        client = current_client.get()
        if client is None:
            yield
            return
        await client.pass_(name)
        client.waits += 1
        disruption = client.disruption if client.is_disrupted(name) else None
        if disruption:
            client.disruption = None
            if disruption.loss == "lost_before":
                await client.sever(self.connection.get_server_pid())
        async with client.waiting(self.connection.get_server_pid()):
            try:
                yield
            except asyncpg.DeadlockDetectedError:
                client.deadlocks.append(name)
                raise
        if disruption and disruption.loss != "lost_before":
            await client.sever(self.connection.get_server_pid())
            if disruption.loss == "killed":
                client.is_dead = True
                raise Killed
            raise asyncpg.ConnectionDoesNotExistError("the connection was lost before the answer came")


class SteeredDatabase(Database):
    """Hands out steered sessions."""

    __slots__ = ()

    @asynccontextmanager
    async def _session(self, effects: Effects) -> AsyncGenerator[Session]:
        client = current_client.get() or SteeredClient(-1)
        stack = AsyncExitStack()
        async with client.waiting():
            session = await stack.enter_async_context(Database._session(self, effects))  # noqa: SLF001 -- as above
        try:
            yield SteeredSession(session.connection, session.observer, session.effects)
        finally:
            async with client.waiting():
                await stack.aclose()
            client.pid = None


@dataclass(slots=True)
class Director:
    """Lets one client go at a time, when all others are held, done, or wait for somebody."""

    clients: Sequence[SteeredClient]
    turns: Sequence[int]
    watching: "asyncpg.Connection[Row]"
    taken: int = 0
    impeded: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    """What those did for whom others waited, and which statement was their next."""

    async def direct(self) -> None:
        while not all(client.is_done for client in self.clients):
            blocked = await self._settled()
            self._note(blocked)
            if held := [client for client in self.clients if client.grant is not None]:
                self._chosen(held).let_go()
            else:
                await asyncio.sleep(0)

    def _chosen(self, held: Sequence[SteeredClient]) -> SteeredClient:
        if self.taken >= len(self.turns):
            return held[0]
        wanted = self.turns[self.taken] % len(self.clients)
        self.taken += 1
        return min(held, key=lambda client: (client.number - wanted) % len(self.clients))

    async def _settled(self) -> Mapping[int, set[int]]:
        """Returns when nobody goes on by himself: who waits for a lock then, and for which processes."""
        while True:
            await self._still_here()
            away = [client for client in self._going() if client.away]
            if not away:
                return {}
            for client in self.clients:
                client.changed.clear()
            if await self._changed():
                continue
            pids = [client.pid for client in away if client.pid is not None]
            blocked = await self._blocked(pids)
            is_same = not any(client.changed.is_set() for client in self.clients)
            if is_same and len(pids) == len(away) and blocked.keys() >= set(pids):
                return blocked

    async def _still_here(self) -> None:
        """Nobody is in this process with something that he can do now."""
        for _ in range(LOOPS_UNTIL_STILL):
            if all(client.away for client in self._going()):
                return
            await asyncio.sleep(0)

    async def _changed(self) -> bool:
        waits = [asyncio.ensure_future(client.changed.wait()) for client in self.clients]
        done, pending = await asyncio.wait(waits, timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        return bool(done)

    async def _blocked(self, pids: Sequence[int]) -> Mapping[int, set[int]]:
        blocked: dict[int, set[int]] = {}
        for row in await self.watching.fetch(BLOCKED, pids):
            blocked.setdefault(row["pid"], set()).add(row["blocking"])
        return blocked

    def _going(self) -> list[SteeredClient]:
        return [client for client in self.clients if not client.is_done and client.grant is None]

    def _note(self, blocked: Mapping[int, set[int]]) -> None:
        by_pid = {client.pid: client for client in self.clients if client.grant is not None}
        for client in self._going():
            for pid in blocked.get(client.pid or 0, ()):
                if holder := by_pid.get(pid):
                    self.impeded.add((holder.step, holder.at))
