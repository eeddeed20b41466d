"""One JSON request to an embedding server: its time limit, its retries, its failures, and when it is left alone.

A failure is the server's, the text's or the setup's (see `http_meaning`); only the first is a reason to leave the
server alone. What an answer holds is the business of the provider that asks.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Final, cast

import httpx
import stamina
from pydantic import JsonValue

from anima.circuit import CircuitBreaker, CircuitOpen
from anima.embeddings.http_meaning import Meaning, meaning_of, retry_after_s
from anima.embeddings.protocol import Embedded, EmbeddingSettings, ProviderCalls
from anima.embeddings.vectors import validated
from anima.errors import EmbeddingMisconfigured, EmbeddingRefused, EmbeddingUnavailable, InvalidEmbedding
from anima.spending import spend

BATCH_TEXTS_MAX: Final = 16
"""How many texts one call may carry: all of them have to be embedded within its time limit."""

CONTROL_TEXT: Final = "The cat sat on the mat."
"""A text that every model embeds: a server that refuses it as well did not refuse the text before for its own sake."""

COLD_AFTER_S: Final = 240.0
"""A server that has not answered for so long may have unloaded its model: Ollama does so after five minutes."""

ITS_LOG: Final = "Its own log says why."

PAUSE_WITHIN_CALL_S_MAX: Final = 2.0
"""A server that wants to be left alone for longer is not waited for."""


def batches(texts: Sequence[str]) -> Iterator[list[str]]:
    for start in range(0, len(texts), BATCH_TEXTS_MAX):
        yield list(texts[start : start + BATCH_TEXTS_MAX])


def joined(address: str, path: str) -> httpx.URL:
    """The address with the path at the end of its own; a query string stays what it is."""
    base = httpx.URL(address)
    own_path, question_mark, query = base.raw_path.partition(b"?")
    raw_path = own_path.rstrip(b"/") + path.encode() + question_mark + query
    return base.copy_with(raw_path=raw_path, fragment=None)


@dataclass(frozen=True, slots=True)
class Advice:
    """Says what to do next, as a sentence, when the server is away or turns the service away."""

    away: str
    key: str
    quota: str
    model: str
    address: str


class ServerFailure(Exception):
    """The server may answer the same request later; the text says what it did instead."""

    def __init__(self, what: str, *, advice: str = "", retry_after_s: float | None = None, again: bool = True) -> None:
        super().__init__(what)
        self.advice = advice
        self.retry_after_s = retry_after_s
        self.again = again


class NotEmbedded(Exception):
    """The server answered with an error that is this text's, or perhaps any text's."""

    def __init__(self, status: int, meaning: Meaning) -> None:
        super().__init__(f"answered with HTTP status {status}")
        self.is_refusal = status < httpx.codes.INTERNAL_SERVER_ERROR
        self.is_known = meaning == "text"


class JsonEndpoint:
    """An address that answers a JSON object with JSON. It owns its connections, so it has to be closed.

    No message quotes what was sent or answered: either may hold a key, or a person's memories.
    """

    def __init__(
        self,
        url: httpx.URL,
        body_of: Callable[[list[str]], Mapping[str, JsonValue]],
        *,
        provider: str,
        advice: Advice,
        settings: EmbeddingSettings,
        client: httpx.AsyncClient,
        clock: Callable[[], float],
    ) -> None:
        # Sent as a header: httpx logs the address of each request.
        self._url = url.copy_with(userinfo=b"")
        if url.userinfo:
            client.auth = httpx.BasicAuth(url.username, url.password)
        self._body_of = body_of
        self._provider = provider
        self._subject = f"The embedding provider {provider} at {self._url.copy_with(query=None)}"
        self._advice = advice
        self._settings = settings
        self._client = client
        self._clock = clock
        self._circuit = CircuitBreaker(
            self._subject, failures_max=settings.failures_max, open_s=settings.open_s, clock=clock
        )
        self._slots = asyncio.Semaphore(settings.calls_max)
        self._loads = set[asyncio.Task[httpx.Response]]()
        self._answered_at: float | None = None
        self._successes = self._answered = self._failed = self._invalid = self._rejected = self._in_flight = 0
        self._with_retries = stamina.AsyncRetryingCaller(
            attempts=settings.attempts, timeout=None, wait_initial=0.2, wait_jitter=0.2, wait_max=2.0
        ).on(pause_before_retry)

    async def post(self, texts: list[str]) -> JsonValue:
        """The decoded answer.

        Raises `EmbeddingUnavailable`, `EmbeddingRefused` if a text is the reason, `InvalidEmbedding` if it is not JSON.
        """
        try:
            asking = self._asked(texts)
            response = await (self._unaborted(asking) if self._is_cold() else asking)
        except ServerFailure as failure:
            raise self._unavailable(str(failure), failure.advice, retry_after_s=failure.retry_after_s) from None
        except CircuitOpen as circuit:
            self._rejected += 1
            what = (
                f"failed several times in a row, or asked for it, and is left alone for {circuit.retry_after_s:.0f} s"
            )
            raise self._unavailable(what, retry_after_s=circuit.retry_after_s) from None
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
        return InvalidEmbedding(f"{self._subject} answered with {what}. {self._advice.address}")

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
        for load in self._loads:
            load.cancel()
        await asyncio.gather(*self._loads, return_exceptions=True)
        await self._client.aclose()

    def _is_cold(self) -> bool:
        """Whether the server may have to load its model before it answers."""
        return self._answered_at is None or self._clock() - self._answered_at > COLD_AFTER_S

    async def _unaborted(self, asking: Coroutine[None, None, httpx.Response]) -> httpx.Response:
        """Goes on when the caller is cancelled: a server gives up loading its model when who asked for it leaves."""
        load = asyncio.create_task(asking)
        self._loads.add(load)
        load.add_done_callback(self._ended)
        return await asyncio.shield(load)

    def _ended(self, load: asyncio.Task[httpx.Response]) -> None:
        self._loads.discard(load)
        if not load.cancelled():
            load.exception()  # Read, so that asyncio does not report a failure that nobody waits for any more.

    async def _asked(self, texts: list[str]) -> httpx.Response:
        begun: list[float] = []
        successes_before = self._successes

        async def attempt() -> httpx.Response:
            # Without arguments, since stamina logs those of a call that it repeats.
            if begun:
                spend("retries", perf_counter() - begun[-1])
            begun.append(perf_counter())
            return await self._attempt(texts, undecided=(NotEmbedded,))

        try:
            return await self._with_retries(attempt)
        except NotEmbedded as error:
            raise await self._explained(error, successes_before) from None
        except ServerFailure:
            spend("retries", perf_counter() - begun[-1])
            raise

    async def _explained(self, error: NotEmbedded, successes_before: int) -> Exception:
        """Whose failure it is, from what else the server answers: requests differ in their texts alone."""
        refused = EmbeddingRefused(f"{self._subject} {error} for this text, and embeds others.")
        is_alone = self._successes > successes_before or (error.is_refusal and (error.is_known or not self._is_cold()))
        if is_alone:
            return refused
        try:
            await self._attempt([CONTROL_TEXT])
        except NotEmbedded as control:
            return self._misconfigured(str(control), self._advice.model)
        return refused

    async def _attempt(self, texts: list[str], *, undecided: tuple[type[Exception], ...] = ()) -> httpx.Response:
        self._circuit.check()
        async with self._slot():
            with self._circuit.call(ServerFailure, undecided=undecided):
                try:
                    return await self._sent(texts)
                except NotEmbedded as error:
                    if error.is_refusal or undecided:
                        raise
                    raise ServerFailure(str(error), advice=ITS_LOG) from None

    @asynccontextmanager
    async def _slot(self) -> AsyncGenerator[None]:
        """One of the places at the server; waits for it no longer than for an answer."""
        limit_s = self._limit_s()
        try:
            async with asyncio.timeout(limit_s):
                await self._slots.acquire()
        except TimeoutError:
            self._rejected += 1
            what = f"has {self._settings.calls_max} calls under way, and none ended within {limit_s:g} s"
            raise self._unavailable(what, retry_after_s=self._settings.timeout_s) from None
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._slots.release()

    def _limit_s(self) -> float:
        timeout_s = self._settings.timeout_s
        return max(timeout_s, self._settings.load_timeout_s) if self._is_cold() else timeout_s

    async def _sent(self, texts: list[str]) -> httpx.Response:
        limit_s = self._limit_s()
        # httpx limits each wait for the socket, not their sum: a server that drips bytes never times out.
        waits = httpx.Timeout(None, connect=self._settings.timeout_s)
        try:
            async with asyncio.timeout(limit_s):
                response = await self._client.post(self._url, json=self._body_of(texts), timeout=waits)
        except TimeoutError as error:
            self._failed += 1
            self._answered_at = None
            raise ServerFailure(
                f"did not answer within {limit_s:g} s",
                advice="If it has to load its model for longer, set ANIMA_EMBEDDING_LOAD_TIMEOUT_S.",
                again=limit_s <= self._settings.timeout_s,
            ) from error
        except httpx.TransportError as error:
            self._failed += 1
            what = f"could not be reached ({type(error).__name__})"
            raise ServerFailure(what, advice=self._advice.away) from error
        return self._accepted(response)

    def _accepted(self, response: httpx.Response) -> httpx.Response:
        """The answer, if it may hold vectors."""
        meaning, status = meaning_of(response), response.status_code
        what = f"answered with HTTP status {status}"
        is_failure = meaning == "server" or status >= httpx.codes.INTERNAL_SERVER_ERROR
        self._failed += is_failure
        self._answered += not is_failure
        match meaning:
            case "answer":
                self._successes += 1
                self._answered_at = self._clock()
                return response
            case "server":
                pause_s = retry_after_s(response)
                if pause_s is not None:
                    self._circuit.pause(pause_s)
                raise ServerFailure(what, advice=ITS_LOG, retry_after_s=pause_s)
            case "text" | "perhaps_text":
                raise NotEmbedded(status, meaning)
            case "key" | "quota" | "model" | "address":
                raise self._misconfigured(what, getattr(self._advice, meaning))

    def _decoded(self, response: httpx.Response) -> JsonValue:
        try:
            return cast("JsonValue", response.json())
        except (ValueError, RecursionError):
            content_type = response.headers.get("content-type", "no content type")
            raise self.invalid(f"something that is not JSON ({content_type})") from None

    def _unavailable(self, what: str, advice: str = "", *, retry_after_s: float | None = None) -> EmbeddingUnavailable:
        return EmbeddingUnavailable(f"{self._subject} {what}. {advice}".rstrip(), retry_after_s=retry_after_s)

    def _misconfigured(self, what: str, advice: str) -> EmbeddingMisconfigured:
        return EmbeddingMisconfigured(f"{self._subject} {what}. {advice}")


class ServerEmbeddings(ABC):
    """Says what providers have in common that ask a server: they differ in what its answer looks like."""

    _endpoint: JsonEndpoint

    @abstractmethod
    def _components(self, answer: JsonValue, number: int) -> Sequence[JsonValue]:
        """What stands for so many vectors in an answer; raises `InvalidEmbedding` where it has not so many."""

    async def embed(self, text: str) -> Embedded:
        (embedded,) = await self._embed_batch([text])
        return embedded

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [embedded for batch in batches(texts) for embedded in await self._embed_batch(batch)]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return (self._endpoint.calls(),)

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def _embed_batch(self, texts: list[str]) -> list[Embedded]:
        return list(map(self._endpoint.embedded, self._components(await self._endpoint.post(texts), len(texts))))


def pause_before_retry(error: Exception) -> bool | float:
    """Says whether to ask again, or after how many seconds, where the server says that."""
    if isinstance(error, ServerFailure) and error.retry_after_s is not None:
        return error.retry_after_s if error.retry_after_s <= PAUSE_WITHIN_CALL_S_MAX else False
    if isinstance(error, ServerFailure):
        return error.again
    return isinstance(error, NotEmbedded) and not (error.is_refusal or error.is_known)
