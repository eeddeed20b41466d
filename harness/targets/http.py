"""A server that speaks the contract's HTTP interface: one that runs somewhere, or `anima serve` for each strategy.

The client's part is kept cheap, since it shares the machine with what it measures: aiohttp, and answers decoded no
further than they are counted (docs/decisions/0011-aiohttp-loads.md).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import aiohttp
import asyncpg
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from pydantic.alias_generators import to_camel

from harness.errors import ProvisioningError, TargetError, UsageError, kind_of
from harness.plans import StatementPlan
from harness.service import serving
from harness.targets.protocol import (
    LoadedMemory,
    OperationName,
    Request,
    Response,
    TargetContext,
    TargetStatistics,
)

EXTERNAL: Final = "external"
PATHS: Final[Mapping[OperationName, str]] = {
    "add": "/api/v1/memories/add",
    "query": "/api/v1/memories/query",
    "bootstrap": "/api/v1/memories/bootstrap",
}
REQUEST_TIMEOUT_S: Final = 60.0
KEEP_ALIVE_S: Final = 2.0
"""Shorter than any server keeps an idle connection: one that it closes as a request is sent fails that request."""

PRIMING_AT_ONCE: Final = 16
QUERY_CHARACTERS_MAX: Final = 5_000
REQUESTS_SERVED: Final = "anima_http_request_duration_seconds_count"
DRAIN_POLL_S: Final = 0.05

DUE_WORK: Final = "SELECT count(*) FROM pgqueuer WHERE status IN ('queued', 'picked') AND execute_after <= now()"


class Preparation(Protocol):
    """Whoever knows the tables: the schema of each strategy, and how a corpus gets into them."""

    def variants(self) -> Mapping[str, str]: ...

    def schema_version(self, variant: str) -> int: ...

    @property
    def embedder(self) -> str | None: ...

    async def prepare(self, database_url: str, schema_version: int, corpus: Sequence[LoadedMemory]) -> None: ...

    async def migrate(self, database_url: str, schema_version: int) -> None: ...


class Distribution(msgspec.Struct, gc=False):
    total: int = 0


class Data(msgspec.Struct, gc=False):
    count: int = 1
    distribution: Distribution | None = None


class Meta(msgspec.Struct, rename="camel", gc=False):
    embedding_provider: str | None = None
    promotions: tuple[msgspec.Raw, ...] = ()


class Success(msgspec.Struct, gc=False):
    """What is counted of an answer; the rest is skipped."""

    data: Data
    meta: Meta


class ErrorBody(msgspec.Struct, gc=False):
    code: str
    message: str


class Failure(msgspec.Struct, gc=False):
    error: ErrorBody


class CacheCounters(msgspec.Struct):
    hits: int = 0
    misses: int = 0
    coalesced: int = 0
    evictions: int = 0


class CacheStats(msgspec.Struct):
    cache: CacheCounters | None = None


class PoolState(msgspec.Struct, rename="camel"):
    total_connections: int = 0
    idle_connections: int = 0
    waiting_connections: int = 0


class Metrics(msgspec.Struct):
    database: PoolState | None = None


ENCODER: Final = msgspec.json.Encoder()
SUCCESS: Final = msgspec.json.Decoder(Success)
FAILURE: Final = msgspec.json.Decoder(Failure)
CACHE_STATS: Final = msgspec.json.Decoder(CacheStats)
METRICS: Final = msgspec.json.Decoder(Metrics)


class HttpTarget:
    """Variants are strategies, each served by a process of its own, and `external`: the scenario's `service_url`."""

    in_process = False

    def __init__(self, preparation: Preparation) -> None:
        self._preparation = preparation

    @property
    def embedder(self) -> str | None:
        return self._preparation.embedder

    def variants(self) -> Mapping[str, str]:
        external = {EXTERNAL: "the server at the scenario's `service_url`, with the data that it has"}
        return {**self._preparation.variants(), **external}

    def schema_version(self, variant: str) -> int:
        return 0 if variant == EXTERNAL else self._preparation.schema_version(variant)

    async def prepare(self, database_url: str, schema_version: int, corpus: Sequence[LoadedMemory]) -> None:
        if schema_version:
            await self._preparation.prepare(database_url, schema_version, corpus)

    async def migrate(self, database_url: str, schema_version: int) -> None:
        await self._preparation.migrate(database_url, schema_version)

    @asynccontextmanager
    async def open(self, context: TargetContext) -> AsyncGenerator["OpenHttp"]:
        async with AsyncExitStack() as stack:
            database_url = None
            if context.variant == EXTERNAL:
                url = _stated(context.service_url)
            else:
                url = await stack.enter_async_context(
                    serving(context.variant, context.database_url, context.embedding_url, context.redis_url)
                )
                database_url = context.database_url
            session = aiohttp.ClientSession(
                url,
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S),
                headers={"Content-Type": "application/json"},
            )
            yield OpenHttp(await stack.enter_async_context(session), database_url)


def _stated(service_url: str | None) -> str:
    if service_url is None:
        raise UsageError(
            "The variant external is a server that runs already, and none is named. "
            "Say --set service_url=http://127.0.0.1:7100, or choose a strategy, for which a server is started."
        )
    return service_url


@dataclass(frozen=True, slots=True)
class OpenHttp:
    """`database_url` is of a service of our own; how much work another one has accepted is not known."""

    session: aiohttp.ClientSession
    database_url: str | None

    async def perform(self, request: Request) -> Response:
        fields = {to_camel(name): value for name, value in request.arguments.items()}
        try:
            return await self._send(request.operation, fields)
        except TimeoutError as error:
            raise TargetError("timeout", f"{request.operation}: no answer in {REQUEST_TIMEOUT_S:g} s") from error
        except aiohttp.ClientError as error:
            raise TargetError(kind_of(error), f"{request.operation}: {error}") from error
        except msgspec.DecodeError as error:
            raise TargetError("not the contract's JSON", f"{request.operation}: {error}") from error

    async def prime(self, texts: Sequence[str]) -> None:
        """Asks for the texts as questions to which there is no answer: a tier of its own, and a similarity of 1.

        Only a memory with the very text in the tier `network` would notice. What no question can be is left out.
        """
        if not await self._cache():
            return
        questions = iter([text for text in texts if len(text) <= QUERY_CHARACTERS_MAX])

        async def ask() -> None:
            for text in questions:
                fields = {"query": text, "limit": 1, "similarityThreshold": 1.0, "tiers": ["network"]}
                await self._send("query", fields)

        try:
            await asyncio.gather(*(ask() for _ in range(PRIMING_AT_ONCE)))
        except (TargetError, aiohttp.ClientError, TimeoutError) as error:
            raise ProvisioningError(f"The service's cache could not be primed: {error}") from error

    async def drain(self) -> None:
        if self.database_url is None:
            return
        # A connection of its own each time: the one before may have ended with a server that was disrupted.
        async with connected(self.database_url) as connection:
            while await connection.fetchval(DUE_WORK):  # noqa: ASYNC110 -- another process does the work
                await asyncio.sleep(DRAIN_POLL_S)

    async def statistics(self) -> TargetStatistics:
        pool = METRICS.decode(await self._read("/api/v1/meta/metrics")).database
        return TargetStatistics(
            cache=await self._cache(),
            pool={} if pool is None else {name: float(count) for name, count in msgspec.structs.asdict(pool).items()},
            served=await self._served(),
        )

    def levels(self) -> Mapping[str, float]:
        """To ask the service would be a request beside those that are measured."""
        return {}

    async def plans(self, *, executed: bool = False) -> tuple[StatementPlan, ...]:
        del executed
        return ()

    async def recalls(self, queries: Sequence[Request]) -> tuple[float, ...]:
        del queries
        return ()

    async def report_statistics(self) -> bool:
        """The sessions are the service's."""
        return False

    async def _send(self, operation: OperationName, fields: Mapping[str, object]) -> Response:
        async with self._request(operation, fields) as answer:
            body = await answer.read()
            if answer.status not in (200, 201):
                raise _refusal(operation, answer.status, body)
            server_s = _server_s(answer.headers.get("X-Response-Time"))
        success = SUCCESS.decode(body)
        return Response(
            results=success.data.distribution.total if success.data.distribution else success.data.count,
            promotions=len(success.meta.promotions),
            embedding=success.meta.embedding_provider,
            server_s=server_s,
        )

    def _request(
        self, operation: OperationName, fields: Mapping[str, object]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if operation == "bootstrap":
            return self.session.get(
                PATHS[operation], params={name: _parameter(value) for name, value in fields.items()}
            )
        return self.session.post(PATHS[operation], data=ENCODER.encode(fields))

    async def _cache(self) -> Mapping[str, int]:
        """The counters of the service's cache; empty where it has none."""
        counters = CACHE_STATS.decode(await self._read("/api/v1/meta/cache-stats")).cache
        return {} if counters is None else msgspec.structs.asdict(counters)

    async def _served(self) -> Mapping[str, int]:
        """Empty where the service has no metrics for Prometheus, or others than ours."""
        async with self.session.get("/metrics") as answer:
            return served_in(await answer.text()) if answer.ok else {}

    async def _read(self, path: str) -> bytes:
        async with self.session.get(path) as answer:
            answer.raise_for_status()
            return await answer.read()


@asynccontextmanager
async def connected(database_url: str) -> "AsyncGenerator[asyncpg.Connection[asyncpg.Record]]":
    connection = await asyncpg.connect(database_url)
    try:
        yield connection
    finally:
        await connection.close()


def served_in(exposition: str) -> Mapping[str, int]:
    """How many requests of each operation were answered, and how, from a text in Prometheus's format."""
    operations = {path: operation for operation, path in PATHS.items()}
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    served = Counter[str]()
    for sample in samples:
        if sample.name == REQUESTS_SERVED and (operation := operations.get(sample.labels.get("route", ""))):
            served[f"{operation} {sample.labels.get('status', '')}"] += int(sample.value)
    return served


def _parameter(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refusal(operation: OperationName, status: int, body: bytes) -> TargetError:
    """Grouped by status and code, as the contract's failures have them."""
    try:
        error = FAILURE.decode(body).error
    except msgspec.DecodeError:
        return TargetError(str(status), f"{operation}: HTTP status {status}")
    return TargetError(f"{status} {error.code}", f"{operation}: {error.message}")


def _server_s(header: str | None) -> float | None:
    """`12ms` as 0.012; None where the server says nothing, or something else."""
    number = (header or "").removesuffix("ms")
    return int(number) / 1000 if number.isdecimal() else None
