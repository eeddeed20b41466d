"""A target with faults of a known size planted in it, so that it can be seen whether they are found.

It stands in front of another target and one of its variants. What is planted is real: the added statement runs on the
variant's own database and is waited for, and a slowdown makes every request take longer by a share of what it took.
"""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from time import perf_counter
from typing import TYPE_CHECKING, Final

from harness.measuring.operations import Request
from harness.measuring.plans import StatementPlan
from harness.measuring.targets.protocol import OpenTarget, Response, Target, TargetContext, TargetStatistics

if TYPE_CHECKING:
    import asyncpg

FAST_STATEMENT: Final = "SELECT 1"
SLOW_STATEMENT: Final = "SELECT pg_sleep(0.02)"

SLEEP_GRAIN_S: Final = 0.001
"""A sleep may end this much late, so the last part of a delay is waited for without giving up the processor."""


@dataclass(frozen=True, slots=True)
class Fault:
    description: str
    slowdown: float = 0.0
    added_statement: str | None = None


FAULTS: Final[Mapping[str, Fault]] = {
    "unchanged": Fault("nothing is planted"),
    "unchanged-too": Fault("nothing is planted here either"),
    "slower-5": Fault("each request takes 5 % longer", slowdown=0.05),
    "slower-10": Fault("each request takes 10 % longer", slowdown=0.10),
    "slower-20": Fault("each request takes 20 % longer", slowdown=0.20),
    "statement-more": Fault("each request sends one statement more", added_statement=FAST_STATEMENT),
    "statement-20-ms": Fault("each request sends one statement more, of 20 ms", added_statement=SLOW_STATEMENT),
}


def planted_variants(variant: str) -> Mapping[str, str]:
    """Name to description, of the faults in this variant."""
    return {name: f"{variant}: {fault.description}" for name, fault in FAULTS.items()}


@dataclass(frozen=True, slots=True)
class PlantedTarget:
    """`variant` of the `healthy` target, with each of the faults."""

    healthy: Target
    variant: str

    def variants(self) -> Mapping[str, str]:
        return planted_variants(self.variant)

    def schema_version(self, variant: str) -> int:
        del variant
        return self.healthy.schema_version(self.variant)

    @property
    def in_process(self) -> bool:
        return self.healthy.in_process

    @property
    def packages(self) -> frozenset[str]:
        return self.healthy.packages

    @property
    def embedder(self) -> str | None:
        return self.healthy.embedder

    @property
    def contents(self) -> str:
        return self.healthy.contents

    def base_of(self, schema_version: int, made: Collection[int]) -> int | None:
        return self.healthy.base_of(schema_version, made)

    async def prepare(self, database_url: str, schema_version: int) -> None:
        await self.healthy.prepare(database_url, schema_version)

    async def migrate(self, database_url: str, schema_version: int) -> None:
        await self.healthy.migrate(database_url, schema_version)

    def shared(self, context: TargetContext) -> AbstractAsyncContextManager[TargetContext]:
        return self.healthy.shared(context)

    @asynccontextmanager
    async def open(self, context: TargetContext) -> AsyncGenerator["OpenPlanted"]:
        fault = FAULTS[context.variant]
        async with self.healthy.open(replace(context, variant=self.variant)) as healthy:
            from harness.measuring.connections import connected  # noqa: PLC0415 -- a driver, which no list needs.

            async with connected(context.database_url) as connection:
                yield OpenPlanted(healthy, fault, connection, asyncio.Lock())


@dataclass(frozen=True, slots=True)
class OpenPlanted:
    """`connection` is for the added statements, one at a time."""

    healthy: OpenTarget
    fault: Fault
    connection: "asyncpg.Connection"
    lock: asyncio.Lock

    async def perform(self, request: Request) -> Response:
        started = perf_counter()
        response = await self.healthy.perform(request)
        if self.fault.added_statement:
            response = await self.send_one_more(self.fault.added_statement, response)
        if self.fault.slowdown:
            await _wait_until(started + (perf_counter() - started) * (1 + self.fault.slowdown))
        return response

    async def send_one_more(self, statement: str, response: Response) -> Response:
        async with self.lock:
            await self.connection.execute(statement)
        return replace(response, statements=(response.statements or 0) + 1, round_trips=(response.round_trips or 0) + 1)

    async def prime(self, texts: Sequence[str]) -> None:
        await self.healthy.prime(texts)

    async def drain(self) -> None:
        await self.healthy.drain()

    async def reconnect(self) -> None:
        await self.healthy.reconnect()

    async def statistics(self) -> TargetStatistics:
        return await self.healthy.statistics()

    def levels(self) -> Mapping[str, float]:
        return self.healthy.levels()

    async def plans(self, *, executed: bool = False) -> tuple[StatementPlan, ...]:
        return await self.healthy.plans(executed=executed)

    async def recalls(self, queries: Sequence[Request]) -> tuple[float, ...]:
        return await self.healthy.recalls(queries)

    async def report_statistics(self) -> bool:
        return await self.healthy.report_statistics()


async def _wait_until(moment: float) -> None:
    while (left := moment - perf_counter()) > 0:
        if left > SLEEP_GRAIN_S:
            await asyncio.sleep(left - SLEEP_GRAIN_S)
