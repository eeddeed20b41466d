"""The seam of where workers run: processes of this machine, or of hosts that a dask cluster connects.

Whatever carries it, a worker is the process that `worker.py` describes. It writes to a file beside it, so it waits for
nobody, and what it has written is read from any position of that file, as often as it takes: a block that is lost on
its way is asked for again, and whoever reads slowly delays nothing.
"""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from harness.errors import HarnessError

Draw = Callable[[], str]
"""The digest of all that a run would send, of whatever host it is called on, which has to have its module."""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The program that runs a worker, and the environment in which it finds the harness."""

    program: str
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Block:
    """Whole lines that a worker has written, and how it has ended when there will be no more of them."""

    data: bytes = b""
    exit_code: int | None = None
    complaint: str = ""
    """The end of its standard error, of one that has ended."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Says what time it is on a host: by the clock that times requests, and by the one that people set."""

    monotonic_s: float
    wall_s: float


@dataclass(frozen=True, slots=True)
class HostPlace:
    """Where a worker runs: its host by the name that reports show, and how much of the load it takes beside others."""

    host: str
    weight: int = 1


class HostLost(HarnessError):
    """A host, or what carries a worker's words there, is gone or does not answer."""


class Slot(Protocol):
    """One worker on its host. Each call but `end` raises `HostLost` when nobody answers any more."""

    async def tell(self, line: str) -> None: ...

    async def read(self, position: int) -> Block:
        """Returns what the worker has written from this byte on; nothing after a second without a word."""
        ...

    async def moments(self) -> Moments: ...

    async def end(self) -> None:
        """Has the worker close what it has opened, and kills one that does not."""
        ...


class Hosts(Protocol):
    """Where the workers of a run are. `is_apart` says whether they hear of a start over a network."""

    @property
    def places(self) -> Sequence[HostPlace]: ...

    @property
    def is_apart(self) -> bool: ...

    async def check(self, target: str, draw: Draw | None) -> None:
        """Raises `UsageError` where a host would measure with another harness or target, or send other requests."""
        ...

    async def start(self, place: int, task: str, interpreter: Interpreter | None) -> Slot:
        """A worker at the place of this number, which is told its task; of another revision with its interpreter."""
        ...


class HostKind(Protocol):
    """One entry of the registry. `rest` is what stands behind the colon in `--workers KIND:REST`."""

    def check(self, rest: str) -> None:
        """Raises `ValueError` where it names no hosts."""
        ...

    def open(self, rest: str) -> AbstractAsyncContextManager[Hosts]:
        """Raises `UsageError` when they cannot be had."""
        ...


HostsOpened = AsyncGenerator[Hosts]
