"""A server that speaks the contract's HTTP interface: one that runs somewhere, or `anima serve` for each strategy.

The client's part is kept cheap, since it shares the machine with what it measures: aiohttp, and answers decoded no
further than they are counted (docs/decisions/0009-aiohttp-asks-over-http.md).
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from time import perf_counter
from typing import Any, Final, Protocol, TypeVar

import aiohttp
import asyncpg
import msgspec
from prometheus_client.parser import text_string_to_metric_families
from pydantic.alias_generators import to_camel

from harness.children import local_environment, python
from harness.errors import HarnessError, ProvisioningError, TargetError, UsageError, kind_of
from harness.measuring.answers import body_of
from harness.measuring.connections import connected
from harness.measuring.operations import Request
from harness.measuring.plans import StatementPlan
from harness.measuring.servers.service import HOST, PORT, Launch, serving
from harness.measuring.servers.service_url import KEY_VARIABLE, key_header, plain
from harness.measuring.targets.protocol import EXTERNAL, EXTERNAL_VARIANT, Response, TargetContext, TargetStatistics

PATHS: Final[Mapping[str, str]] = {
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
CONNECT_TIMEOUT_S: Final = 10.0
DRAIN_POLL_S: Final = 0.05
DRAIN_STALL_S: Final = 120.0
KIND_LENGTH_MAX: Final = 60
DIGITS_MAX: Final = 12
CLOCK: Final = perf_counter

ANOTHER: Final = "It is another server, or the service is below another path: service_url may end in one."

DUE_WORK: Final = "SELECT count(*) FROM pgqueuer WHERE status IN ('queued', 'picked') AND execute_after <= now()"


class Preparation(Protocol):
    """Whoever knows the tables: the schema of each strategy, and how a corpus gets into them."""

    def variants(self) -> Mapping[str, str]: ...

    def schema_version(self, variant: str) -> int: ...

    @property
    def embedder(self) -> str | None: ...

    @property
    def contents(self) -> str: ...

    def base_of(self, schema_version: int, made: Collection[int]) -> int | None: ...

    async def prepare(self, database_url: str, schema_version: int) -> None: ...

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
    """Says what is counted of an answer; the rest is skipped."""

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


Body = TypeVar("Body")

ENCODER: Final = msgspec.json.Encoder()
SUCCESS: Final = msgspec.json.Decoder(Success)
FAILURE: Final = msgspec.json.Decoder(Failure)
CACHE_STATS: Final = msgspec.json.Decoder(CacheStats)
METRICS: Final = msgspec.json.Decoder(Metrics)


class ServedTarget:
    """Variants are strategies, each served by a process of its own, and `external`: the scenario's `service_url`."""

    in_process = False
    packages = frozenset({"harness"})

    def __init__(self, preparation: Preparation, service_url: str | None = None) -> None:
        self._preparation = preparation
        self._service_url = service_url

    @property
    def contents(self) -> str:
        return self._preparation.contents

    def base_of(self, schema_version: int, made: Collection[int]) -> int | None:
        return self._preparation.base_of(schema_version, made) if schema_version else None

    @property
    def embedder(self) -> str | None:
        return self._preparation.embedder

    def variants(self) -> Mapping[str, str]:
        return {**self._preparation.variants(), **EXTERNAL_VARIANT}

    def schema_version(self, variant: str) -> int:
        return 0 if variant == EXTERNAL else self._preparation.schema_version(variant)

    async def prepare(self, database_url: str, schema_version: int) -> None:
        if schema_version:
            await self._preparation.prepare(database_url, schema_version)

    async def migrate(self, database_url: str, schema_version: int) -> None:
        await self._preparation.migrate(database_url, schema_version)

    @asynccontextmanager
    async def shared(self, context: TargetContext) -> AsyncGenerator[TargetContext]:
        if context.variant == EXTERNAL:
            yield context
            return
        async with serving(anima_serve(context)) as url:
            yield replace(context, service_url=url)

    @asynccontextmanager
    async def open(self, context: TargetContext) -> AsyncGenerator["OpenServed"]:
        async with AsyncExitStack() as stack:
            database_url = None
            headers = {"Content-Type": "application/json"}
            if context.service_url is not None:
                url, database_url = context.service_url, context.database_url
            elif context.variant == EXTERNAL:
                url = _stated(self._service_url)
                headers |= key_header()
            else:
                url = await stack.enter_async_context(serving(anima_serve(context)))
                database_url = context.database_url
            session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S),
                cookie_jar=aiohttp.DummyCookieJar(),
                timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
                headers=headers,
            )
            yield OpenServed(await stack.enter_async_context(session), url, database_url)


def anima_serve(context: TargetContext) -> Launch:
    """Without an embedding server it needs none. Addresses are not in its command line."""
    provider = {"ANIMA_EMBEDDING_PROVIDER": "ollama", "ANIMA_OLLAMA_URL": context.embedding_url or ""}
    environment: dict[str, str] = {
        **{name: value for name, value in local_environment().items() if not name.startswith("ANIMA_")},
        **(provider if context.embedding_url else {"ANIMA_EMBEDDING_PROVIDER": "hashing"}),
        **({"ANIMA_REDIS_URL": context.redis_url} if context.redis_url else {}),
        **({"ANIMA_REPLICA_URLS": " ".join(context.replica_urls)} if context.replica_urls else {}),
        "ANIMA_DATABASE_URL": context.database_url,
    }
    command = python("-m", "anima", "serve", "--host", HOST, "--port", PORT, "--strategy", context.variant)
    return Launch("`anima serve`", command, "/ready", environment)


def _stated(service_url: str | None) -> str:
    if service_url is None:
        raise UsageError(
            "The variant external is a server that runs already, and none is named. "
            "Say --set service_url=http://127.0.0.1:7100, or choose a strategy, for which a server is started."
        )
    return plain(service_url)


@dataclass(frozen=True, slots=True)
class OpenServed:
    """Paths stand below `url`. `database_url` is of a service of our own: another's accepted work is not known."""

    session: aiohttp.ClientSession
    url: str
    database_url: str | None

    async def perform(self, request: Request) -> Response:
        fields = {to_camel(name): value for name, value in request.arguments.items()}
        try:
            return await self._send(request.operation, fields)
        except TimeoutError as error:
            raise TargetError("timeout", f"{request.operation}: no answer in {REQUEST_TIMEOUT_S:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise TargetError(kind_of(error), f"{request.operation}: {error}") from error
        except msgspec.DecodeError as error:
            raise TargetError("not the contract's JSON", f"{request.operation}: {error}") from error

    async def prime(self, texts: Sequence[str]) -> None:
        """Asks for the texts as questions to which there is no answer. What no question can be is left out.

        A server that runs already is asked one in any case. Raises `ProvisioningError` when it is not what is measured.
        """
        if self.database_url is None:
            await self._meet()
        if not await self._cache():
            return
        questions = iter([text for text in texts if len(text) <= QUERY_CHARACTERS_MAX])

        async def ask() -> None:
            for text in questions:
                await self._send("query", unanswerable(text))

        try:
            await asyncio.gather(*(ask() for _ in range(PRIMING_AT_ONCE)))
        except (TargetError, aiohttp.ClientError, OSError, msgspec.DecodeError) as error:
            raise ProvisioningError(f"The service's cache could not be primed: {error}") from error

    async def drain(self) -> None:
        if self.database_url is None:
            return
        # A connection of its own each time: the one before may have ended with a server that was disrupted.
        try:
            async with connected(self.database_url) as connection:
                await _drained(partial(connection.fetchval, DUE_WORK))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise HarnessError(
                f"The service's background work could not be waited for, since its database failed: {error}"
            ) from error

    async def reconnect(self) -> None:
        """The sessions are the service's."""

    async def statistics(self) -> TargetStatistics:
        metrics = await self._decoded("/api/v1/meta/metrics", METRICS)
        pool = metrics and metrics.database
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

    async def _send(self, operation: str, fields: Mapping[str, object]) -> Response:
        async with self._request(operation, fields) as answer:
            body = await body_of(answer)
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
        self, operation: str, fields: Mapping[str, object]
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        if operation == "bootstrap":
            parameters = {name: _parameter(value) for name, value in fields.items()}
            return self._get(PATHS[operation], parameters)
        return self.session.post(self.url + PATHS[operation], data=ENCODER.encode(fields), allow_redirects=False)

    def _get(
        self, path: str, parameters: Mapping[str, str] | None = None
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        return self.session.get(self.url + path, params=parameters, allow_redirects=False)

    async def _meet(self) -> None:
        """Raises `ProvisioningError` where nobody answers as the service would, with what to correct."""
        try:
            async with self._request("query", unanswerable("Is this the service?")) as answer:
                body = await body_of(answer)
        except aiohttp.ClientConnectorError as error:
            raise ProvisioningError(_unreachable(self.url, error)) from error
        except TimeoutError as error:
            raise ProvisioningError(f"{self.url} does not answer. Is the service started there?") from error
        except (aiohttp.ClientError, OSError, TargetError) as error:
            raise ProvisioningError(
                f"What listens at {self.url} does not answer as a service does ({error}). Correct service_url: its "
                "scheme, host and port."
            ) from error
        if obstacle := _obstacle(self.url + PATHS["query"], answer, body):
            raise ProvisioningError(obstacle)

    async def _cache(self) -> Mapping[str, int]:
        """The counters of the service's cache; empty where it has none."""
        report = await self._decoded("/api/v1/meta/cache-stats", CACHE_STATS)
        return {} if report is None or report.cache is None else msgspec.structs.asdict(report.cache)

    async def _served(self) -> Mapping[str, int]:
        """Empty where the service has no metrics for Prometheus, or others than ours."""
        exposition = await self._read("/metrics")
        try:
            return served_in(exposition.decode()) if exposition else {}
        except (ValueError, OverflowError):
            return {}

    async def _decoded(self, path: str, decoder: msgspec.json.Decoder[Body]) -> Body | None:
        """None where a server does not tell it, or not in the contract's words."""
        body = await self._read(path)
        try:
            return decoder.decode(body) if body else None
        except msgspec.DecodeError:
            return None

    async def _read(self, path: str) -> bytes | None:
        """None where the server has no such page, or is away."""
        try:
            async with self._get(path) as answer:
                return await body_of(answer) if answer.status == HTTPStatus.OK else None
        except (aiohttp.ClientError, OSError, TargetError):
            return None


def unanswerable(text: str) -> dict[str, object]:
    """A question that only a memory with this very text in the tier `network` would notice."""
    return {"query": text, "limit": 1, "similarityThreshold": 1.0, "tiers": ["network"]}


async def _drained(due_work: Callable[[], Awaitable[int]]) -> None:
    """Until no work is due. Raises `HarnessError` when it becomes no less for too long."""
    fewest, since = await due_work(), CLOCK()
    while fewest:
        await asyncio.sleep(DRAIN_POLL_S)
        due = await due_work()
        if due < fewest:
            fewest, since = due, CLOCK()
        elif CLOCK() - since > DRAIN_STALL_S:
            raise HarnessError(
                f"The service does not get on with the background work that it accepted: {due:,} pieces have been due "
                f"for {DRAIN_STALL_S:g} s. Its log and its metrics say what it waits for."
            )


def _unreachable(url: str, error: aiohttp.ClientConnectorError) -> str:
    if isinstance(error, (aiohttp.ClientConnectorSSLError, aiohttp.ClientConnectorCertificateError)):
        return (
            f"{url} cannot be spoken to by TLS ({error}). Where it "
            "serves plain HTTP, write http:// in service_url; where its certificate is a company's own, have this "
            "machine trust it."
        )
    return f"Nothing answers at {url} ({error.strerror or error}). Start the service, or correct service_url."


def _obstacle(url: str, answer: aiohttp.ClientResponse, body: bytes) -> str | None:
    """Why such an answer to a plain question means that nothing can be measured there, and what to do."""
    status = answer.status
    sentence: str | None = f"{url} answers with HTTP status {status}. {ANOTHER}"
    if status == HTTPStatus.OK:
        other = f"{url} answers with something else than the contract's JSON. {ANOTHER}"
        sentence = None if _decodes(SUCCESS, body) else other
    elif status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        sentence = f"{url} asks for an API key (HTTP status {status}). Put one into the variable {KEY_VARIABLE}."
        if "Authorization" in answer.request_info.headers:
            sentence = f"{url} refuses the key in {KEY_VARIABLE} (HTTP status {status}). Correct it."
    elif HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        place = answer.headers.get("Location", "nowhere")
        sentence = f"{url} sends on to {place} (HTTP status {status}). State in service_url where that leads."
    elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        sentence = f"{url} fails at a plain question already (HTTP status {status}). Its log says why."
    elif _decodes(FAILURE, body):
        sentence = None
    return sentence


def _decodes(decoder: msgspec.json.Decoder[Any], body: bytes) -> bool:
    try:
        decoder.decode(body)
    except msgspec.DecodeError:
        return False
    return True


def served_in(exposition: str) -> Mapping[str, int]:
    """Says how many requests of each operation were answered, and how, from a text in Prometheus's format."""
    operations = {path: operation for operation, path in PATHS.items()}
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    served = Counter[str]()
    for sample in samples:
        if sample.name == REQUESTS_SERVED and (operation := operations.get(sample.labels.get("route", ""))):
            served[f"{operation} {sample.labels.get('status', '')}"] += int(sample.value)
    return served


def _parameter(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _refusal(operation: str, status: int, body: bytes) -> TargetError:
    """Grouped by status and code, as the contract's failures have them."""
    try:
        error = FAILURE.decode(body).error
    except msgspec.DecodeError:
        return TargetError(str(status), f"{operation}: HTTP status {status}")
    return TargetError(f"{status} {error.code}"[:KIND_LENGTH_MAX], f"{operation}: {error.message}")


def _server_s(header: str | None) -> float | None:
    """`12ms` as 0.012; None where the server says nothing, or something else."""
    number = (header or "").removesuffix("ms")
    return int(number) / 1000 if number.isdecimal() and len(number) < DIGITS_MAX else None
