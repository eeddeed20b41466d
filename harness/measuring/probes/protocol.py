"""The seam of what is observed around a phase: counters that are read before and after it, and never while it is timed.

Not for what belongs to one request: `statements` counts that, in the task that waits.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Literal, NoReturn, Protocol

import asyncpg

CountedSpan = Literal["timed", "whole"]
"""Of the timed pass alone, or also of the background work that the phase has left behind."""


class AskServer(Protocol):
    """Gives the one row that a query to the server returns, or None. Raises `NotObserved` when there is no answer."""

    async def __call__(self, query: str, *values: object) -> asyncpg.Record | None: ...


class NotObserved(Exception):
    """Names what cannot be read here; the message is a clause that says why."""


async def unread() -> NoReturn:
    """Of a log that is not to be had."""
    raise NotObserved("the log of the server is not the run's to read")


class Traffic(Protocol):
    """Says what has passed between a target and its database."""

    @property
    def round_trips(self) -> int:
        """Says how often the server's data came after the client's."""
        ...

    @property
    def bytes_to_client(self) -> int:
        """Says what the server has sent."""
        ...


async def no_proxy() -> NoReturn:
    """Where nothing lies between the target and its database."""
    raise NotObserved("no delay is added to the way to the database, so nothing counts what passes there")


async def no_service() -> None:
    """Where the run has started none."""


@dataclass(frozen=True, slots=True)
class Observable:
    """Says what can be looked at: the variant's database by its name on the server, and the server.

    `failures` says how many statements have failed there, or raises `NotObserved`, as `traffic` does of what has passed
    between the target and the database. `service_memory_bytes` is the resident memory of a service, or None.
    `ask` does so in a session on another database, so that nothing of it counts as the variant's. `server_cpu_s` gives
    None where the server's processes cannot be seen, and `service_cpu_s` where those of a service cannot or there is
    none. `flush` has the target's sessions tell the server what they have done; False where the target cannot.
    """

    ask: AskServer
    database: str
    server_cpu_s: Callable[[], Awaitable[float | None]]
    flush: Callable[[], Awaitable[bool]]
    service_cpu_s: Callable[[], Awaitable[float | None]]
    failures: Callable[[], Awaitable[int]] = unread
    service_memory_bytes: Callable[[], Awaitable[int | None]] = no_service
    traffic: Callable[[], Awaitable[Traffic]] = no_proxy


class Probe(Protocol):
    """Reads counters, which only grow, or levels. An implementation is stateless, and changes nothing that it reads."""

    @property
    def counters(self) -> Mapping[str, str]:
        """The names of what is read, units last, and a clause on each for the manual."""
        ...

    @property
    def is_level(self) -> bool:
        """Says whether the value at the end is meant, and not by how much it grew."""
        ...

    @property
    def span(self) -> CountedSpan: ...

    async def read(self, observable: Observable) -> Mapping[str, float]:
        """A value for each counter. Raises `NotObserved`."""
        ...
