"""One JSON request to an embedding server: its time limit, its retries, its failures, and when it is left alone.

What the answer means is the business of the provider that asks.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from time import perf_counter
from typing import Final, cast

import httpx
import stamina
from pydantic import JsonValue

from anima.circuit import CircuitBreaker, CircuitOpen
from anima.embeddings.protocol import Embedded, EmbeddingSettings, ProviderCalls
from anima.embeddings.vectors import validated
from anima.errors import EmbeddingUnavailable, InvalidEmbedding
from anima.spending import spend

BATCH_TEXTS_MAX: Final = 16
"""How many texts one call may carry: all of them have to be embedded within its time limit."""

TOO_MANY_REQUESTS: Final = 429
SERVER_ERRORS_FROM: Final = 500


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), BATCH_TEXTS_MAX):
        yield list(texts[start : start + BATCH_TEXTS_MAX])


class PassingFailure(Exception):
    """The server may answer the same request later; the text says what it did instead."""


class JsonEndpoint:
    """An address that answers a JSON object with JSON. It owns its connections, so it has to be closed.

    No message quotes what was sent or answered: either may hold a key, or a person's memories.
    `advice` is the sentence that ends each message: what to do next.
    """

    def __init__(
        self,
        url: str,
        *,
        provider: str,
        advice: str,
        settings: EmbeddingSettings,
        client: httpx.AsyncClient,
    ) -> None:
        address = httpx.URL(url)
        # Sent as a header: httpx logs the address of each request.
        self._url = address.copy_with(userinfo=b"")
        if address.userinfo:
            client.auth = httpx.BasicAuth(address.username, address.password)
        self._provider = provider
        self._subject = f"The embedding provider {provider} at {self._url.copy_with(query=None)}"
        self._advice = advice
        self._timeout_s = settings.timeout_s
        self._client = client
        self._circuit = CircuitBreaker(self._subject, failures_max=settings.failures_max, open_s=settings.open_s)
        self._calls_max = settings.calls_max
        self._slots = asyncio.Semaphore(settings.calls_max)
        self._answered = self._failed = self._invalid = self._rejected = self._in_flight = 0
        self._with_retries = stamina.AsyncRetryingCaller(
            attempts=settings.attempts, timeout=None, wait_initial=0.2, wait_jitter=0.2, wait_max=2.0
        ).on(PassingFailure)

    async def post(self, body: Mapping[str, JsonValue]) -> JsonValue:
        """The decoded answer; raises `EmbeddingUnavailable`, or `InvalidEmbedding` if it is not JSON."""
        begun: list[float] = []

        async def attempt() -> httpx.Response:
            # Without arguments, since stamina logs those of a call that it repeats.
            if begun:
                spend("retries", perf_counter() - begun[-1])
            begun.append(perf_counter())
            return await self._attempt(body)

        try:
            response = await self._with_retries(attempt)
        except PassingFailure as failure:
            spend("retries", perf_counter() - begun[-1])
            raise self._unavailable(str(failure)) from failure.__cause__
        except CircuitOpen as circuit:
            self._rejected += 1
            raise self._unavailable(
                "failed several times in a row and is left alone for some seconds", retry_after_s=circuit.retry_after_s
            ) from None
        except httpx.HTTPStatusError as error:
            raise self._unavailable(f"answered with HTTP status {error.response.status_code}") from None
        except httpx.DecodingError as error:
            raise self.invalid("something that cannot be decompressed") from error
        return self._decoded(response)

    def embedded(self, components: object) -> Embedded:
        """One vector of the answer; raises `InvalidEmbedding`."""
        try:
            return Embedded(validated(components, provider=self._provider), self._provider)
        except InvalidEmbedding:
            self._invalid += 1
            raise

    def invalid(self, what: str) -> InvalidEmbedding:
        self._invalid += 1
        return InvalidEmbedding(f"{self._subject} answered with {what}. {self._advice}")

    def calls(self) -> ProviderCalls:
        return ProviderCalls(
            provider=self._provider,
            circuit=self._circuit.state,
            in_flight=self._in_flight,
            answered=self._answered,
            failed=self._failed,
            invalid=self._invalid,
            rejected=self._rejected,
        )

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _attempt(self, body: Mapping[str, JsonValue]) -> httpx.Response:
        self._circuit.check()
        async with self._slot():
            with self._circuit.call(PassingFailure):
                return await self._sent(body)

    @asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None]:
        """One of the places at the server; waits for it no longer than for an answer."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._slots.acquire()
        except TimeoutError:
            self._rejected += 1
            what = f"has {self._calls_max} calls under way, and none ended within {self._timeout_s:g} s"
            raise self._unavailable(what, retry_after_s=self._timeout_s) from None
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._slots.release()

    async def _sent(self, body: Mapping[str, JsonValue]) -> httpx.Response:
        try:
            # httpx limits each wait for the socket, not their sum: a server that drips bytes never times out.
            async with asyncio.timeout(self._timeout_s):
                response = await self._client.post(self._url, json=body, timeout=None)
        except TimeoutError as error:
            raise self._failure(f"did not answer within {self._timeout_s:g} s") from error
        except httpx.TransportError as error:
            raise self._failure(f"could not be reached ({type(error).__name__})") from error
        if response.status_code >= SERVER_ERRORS_FROM or response.status_code == TOO_MANY_REQUESTS:
            raise self._failure(f"answered with HTTP status {response.status_code}")
        self._answered += 1
        return response.raise_for_status()

    def _failure(self, what: str) -> PassingFailure:
        self._failed += 1
        return PassingFailure(what)

    def _decoded(self, response: httpx.Response) -> JsonValue:
        try:
            return cast("JsonValue", response.json())
        except (ValueError, RecursionError):
            content_type = response.headers.get("content-type", "no content type")
            raise self.invalid(f"something that is not JSON ({content_type})") from None

    def _unavailable(self, what: str, *, retry_after_s: float | None = None) -> EmbeddingUnavailable:
        return EmbeddingUnavailable(f"{self._subject} {what}. {self._advice}", retry_after_s=retry_after_s)
