"""A target that does nothing: what is measured on it is the harness itself."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager

from harness.measuring.operations import Request
from harness.measuring.plans import StatementPlan
from harness.measuring.targets.protocol import Response, TargetContext, TargetStatistics, nothing_shared


class NullTarget:
    in_process = True
    packages = frozenset({"harness"})
    embedder = None

    def variants(self) -> Mapping[str, str]:
        return {"null": "answers at once, and touches nothing"}

    def schema_version(self, variant: str) -> int:
        del variant
        return 0

    contents = "nothing"

    async def prepare(self, database_url: str, schema_version: int) -> None:
        """Has no schema."""

    def base_of(self, schema_version: int, made: Collection[int]) -> int | None:
        """There is one version."""

    async def migrate(self, database_url: str, schema_version: int) -> None:
        """Has no schema."""

    shared = staticmethod(nothing_shared)

    @asynccontextmanager
    async def open(self, context: TargetContext) -> AsyncGenerator["OpenNull"]:
        del context
        yield OpenNull()


class OpenNull:
    async def perform(self, request: Request) -> Response:
        """Lets others go on first, as whoever waits for a socket does."""
        del request
        await asyncio.sleep(0)
        return Response(statements=0, round_trips=0, rows=0, results=0)

    async def prime(self, texts: Sequence[str]) -> None:
        """Has no cache."""

    async def drain(self) -> None:
        """Accepts no work."""

    async def reconnect(self) -> None:
        """Has no session."""

    async def statistics(self) -> TargetStatistics:
        return TargetStatistics()

    def levels(self) -> Mapping[str, float]:
        return {}

    async def plans(self, *, executed: bool = False) -> tuple[StatementPlan, ...]:
        del executed
        return ()

    async def recalls(self, queries: Sequence[Request]) -> tuple[float, ...]:
        del queries
        return ()

    async def report_statistics(self) -> bool:
        """Has no session that could have done anything."""
        return True
