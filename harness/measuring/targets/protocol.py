"""The seam between a request and the system under measurement."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, Protocol

from harness.measuring.operations import Request
from harness.measuring.plans import StatementPlan

EXTERNAL: Final = "external"
EXTERNAL_VARIANT: Final[Mapping[str, str]] = {
    EXTERNAL: "the server at the scenario's `service_url`, with the data that it has"
}

TARGET_LEVELS: Final = ("background_queued", "pool_in_use", "pool_waiting")


@dataclass(frozen=True, slots=True)
class Response:
    """Says what the target did for one request, as far as it can say; None is of what it cannot."""

    statements: int | None = None
    """How many SQL statements were sent, transaction control excluded."""
    round_trips: int | None = None
    """How often the server was waited for, transaction control included."""
    rows: int | None = None
    """How many rows came back."""
    results: int | None = None
    """How many results the answer has."""
    promotions: int | None = None
    """How many memories were promoted."""
    proven: bool | None = None
    """Whether a search is known to have missed nothing without having ranked everything."""
    embedding: str | None = None
    """Who made the embedding: a provider's name, or `cache`."""
    server_s: float | None = None
    """How long a server says that it took, in seconds."""
    elapsed_s: Mapping[str, float] = field(default_factory=dict[str, float])
    """Seconds of it by what they went to: waiting for `pool` (a connection), for `embedding`, of that for the call of
    another request (`coalesced`) and for attempts that failed (`retries`), and each statement by its name.
    """
    calls: Mapping[str, int] = field(default_factory=dict[str, int])
    """How often each statement was sent, by its name."""


@dataclass(frozen=True, slots=True)
class BackgroundWork:
    """Work that a variant did after its responses, per kind: how often, and what it cost."""

    kind: str
    count: int
    failures: int
    statements: int
    round_trips: int

    def since(self, earlier: "BackgroundWork") -> "BackgroundWork":
        return BackgroundWork(
            self.kind,
            self.count - earlier.count,
            self.failures - earlier.failures,
            self.statements - earlier.statements,
            self.round_trips - earlier.round_trips,
        )


@dataclass(frozen=True, slots=True)
class TargetStatistics:
    """Counters since the target was opened, and the state of its pool, if it has these.

    `served` is how many requests a server says that it answered, by operation and status: `query 200`.
    """

    cache: Mapping[str, int] = field(default_factory=dict[str, int])
    served: Mapping[str, int] = field(default_factory=dict[str, int])
    background: tuple[BackgroundWork, ...] = ()
    pool: Mapping[str, float] = field(default_factory=dict[str, float])

    def since(self, earlier: "TargetStatistics") -> "TargetStatistics":
        """Says what was counted after `earlier`."""
        before = {work.kind: work for work in earlier.background}
        return TargetStatistics(
            cache=_grown(self.cache, earlier.cache),
            served=_grown(self.served, earlier.served),
            background=tuple(
                work.since(before[work.kind]) if work.kind in before else work for work in self.background
            ),
            pool=self.pool,
        )


def _grown(counters: Mapping[str, int], earlier: Mapping[str, int]) -> dict[str, int]:
    """Nothing where they began anew in between, as those of a server that was started again."""
    grown = {name: count - earlier.get(name, 0) for name, count in counters.items()}
    return grown if min(grown.values(), default=0) >= 0 else {}


@dataclass(frozen=True, slots=True)
class TargetContext:
    """Says what an open target may use. `database_url` is the variant's own clone, behind the delay proxy if any.

    `redis_url` is that of an empty Redis for the second tier of a cache, where the scenario wants one; it contains a
    password. `service_url` is where the variant's service has been started for all who ask it; None: nobody has.
    `replica_urls` are those of the same database on servers that follow it.
    """

    variant: str
    database_url: str
    users: int = 1
    embedding_url: str | None = None
    redis_url: str | None = field(default=None, repr=False)
    service_url: str | None = None
    replica_urls: tuple[str, ...] = ()


@asynccontextmanager
async def nothing_shared(context: TargetContext) -> AsyncGenerator[TargetContext]:
    """For a target of which each process that asks has its own."""
    yield context


@dataclass(frozen=True, slots=True)
class Counterexample:
    """A variant that does not do what it must after the last of these steps, each as the expression that makes it."""

    variant: str
    message: str
    steps: tuple[str, ...]
    is_concurrent: bool = False
    """Whether it takes several clients: then the one step is all that they do."""
    names: tuple[str, ...] = ()
    """What the steps are made of, where their own names do not say it."""


@dataclass(frozen=True, slots=True)
class Verification:
    """Says what a search for disagreements came to. `met` says how many of its scripts met a case that decides."""

    scripts: int
    met: Mapping[str, int]
    counterexample: Counterexample | None


class OpenTarget(Protocol):
    """A system that answers requests. `perform` raises `TargetError` for a failure that counts as an error sample."""

    async def perform(self, request: Request) -> Response: ...

    async def prime(self, texts: Sequence[str]) -> None:
        """Embeds texts as earlier requests would have, so that a cache knows them. Changes nothing else."""
        ...

    async def drain(self) -> None:
        """Returns when all accepted background work is done."""
        ...

    async def reconnect(self) -> None:
        """Has its sessions with the database be there again after the server has ended them. Asks nothing in them.

        Nothing where the sessions are another's, who then opens them within a request.
        """
        ...

    async def statistics(self) -> TargetStatistics: ...

    def levels(self) -> Mapping[str, float]:
        """Says what goes up and down while requests are under way, by the names in `LEVELS`; read without any waiting.

        Empty where that cannot be done.
        """
        ...

    async def plans(self, *, executed: bool = False) -> tuple[StatementPlan, ...]:
        """Of each statement that was executed until now, planned with the values of its first execution.

        With `executed` each is carried out once more, in a transaction that is rolled back, and says what it cost.
        Empty where the target does not tell its statements.
        """
        ...

    async def recalls(self, queries: Sequence[Request]) -> tuple[float, ...]:
        """For each query with results, the share of exact search's that the variant's search finds. Changes nothing.

        Empty where the target cannot search exactly as well.
        """
        ...

    async def report_statistics(self) -> bool:
        """Has its sessions tell the database server what they have done; False where it cannot. Asked when idle."""
        ...


class Target(Protocol):
    """A kind of system that can be opened for a variant; knows which variants it has and what they need."""

    def variants(self) -> Mapping[str, str]:
        """Name to one-line description, in the order to list them."""
        ...

    def schema_version(self, variant: str) -> int:
        """The migration that the variant's database must be at."""
        ...

    @property
    def in_process(self) -> bool:
        """Says whether it works in the load generator's process, so that the processor time of one is that of both."""
        ...

    @property
    def packages(self) -> frozenset[str]:
        """The top-level packages that are measured: a profile names their functions, wherever they are installed."""
        ...

    @property
    def embedder(self) -> str | None:
        """Import path of the function that the embedding server uses for this target's vectors."""
        ...

    @property
    def contents(self) -> str:
        """Says what `prepare` loads, for people: `10,000 memories`."""
        ...

    async def prepare(self, database_url: str, schema_version: int) -> None:
        """Makes the schema and loads what is there before the run, indexes after the rows; vacuumed and analysed."""
        ...

    def base_of(self, schema_version: int, made: Collection[int]) -> int | None:
        """Says which of the versions that are there already this one is made from; None: it is prepared by itself."""
        ...

    async def migrate(self, database_url: str, schema_version: int) -> None:
        """Brings a clone of its base to the version."""
        ...

    def shared(self, context: TargetContext) -> AbstractAsyncContextManager[TargetContext]:
        """Starts what several processes that ask have in common, such as a service; they are told it by the context."""
        ...

    def open(self, context: TargetContext) -> AbstractAsyncContextManager[OpenTarget]: ...
