"""Texts that are asked for at the same time go to a provider's server in one call.

Who asks alone is asked for at once. While a call is under way others wait for company, for a few milliseconds at most.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from anima.embeddings.protocol import Embedded, EmbeddingProvider, InFrontOfProvider
from anima.errors import EmbeddingRefused, InvalidEmbedding

WAIT_S: Final = 0.003
TEXTS_MAX: Final = 64


class BatchingEmbeddings(InFrontOfProvider):
    """In front of a provider whose server takes lists. A text that cannot be embedded fails for its callers only."""

    def __init__(self, provider: EmbeddingProvider, *, wait_s: float = WAIT_S, texts_max: int = TEXTS_MAX) -> None:
        super().__init__(provider)
        self._wait_s = wait_s
        self._texts_max = texts_max
        self._waiting: list[tuple[str, asyncio.Future[Embedded]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._calls: set[asyncio.Task[None]] = set()
        self._alone = 0

    async def embed(self, text: str) -> Embedded:
        if not (self._alone or self._calls or self._waiting):
            return await self._embed_alone(text)
        answer: asyncio.Future[Embedded] = asyncio.get_running_loop().create_future()
        self._waiting.append((text, answer))
        if len(self._waiting) >= self._texts_max:
            self._send()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._wait_s, self._send)
        return await answer

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return await self._provider.embed_many(texts)

    async def aclose(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)
        for _, answer in self._waiting:
            answer.cancel()
        await self._provider.aclose()

    async def _embed_alone(self, text: str) -> Embedded:
        self._alone += 1
        try:
            return await self._provider.embed(text)
        finally:
            self._alone -= 1

    def _send(self) -> None:
        """One call for all who wait and have not left."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        batch = [(text, answer) for text, answer in self._waiting if not answer.done()]
        self._waiting.clear()
        if batch:
            call = asyncio.create_task(self._answer(batch))
            self._calls.add(call)
            call.add_done_callback(self._calls.discard)

    async def _answer(self, batch: Sequence[tuple[str, asyncio.Future[Embedded]]]) -> None:
        try:
            for (_, answer), embedded in zip(batch, await self._embedded([text for text, _ in batch]), strict=True):
                settle(answer, embedded)
        except asyncio.CancelledError:
            for _, answer in batch:
                answer.cancel()
            raise

    async def _embedded(self, texts: Sequence[str]) -> Sequence[Embedded | BaseException]:
        """Each text's vector or failure. Where the server refuses a list for one of its texts, each is asked alone."""
        if len(texts) == 1:
            return await asyncio.gather(self._provider.embed(texts[0]), return_exceptions=True)
        (outcome,) = await asyncio.gather(self._provider.embed_many(texts), return_exceptions=True)
        match outcome:
            case EmbeddingRefused() | InvalidEmbedding():
                return await asyncio.gather(*map(self._provider.embed, texts), return_exceptions=True)
            case BaseException():
                return [outcome] * len(texts)
            case _:
                return outcome


def settle(answer: "asyncio.Future[Embedded]", embedded: Embedded | BaseException) -> None:
    if answer.done():
        return
    if isinstance(embedded, BaseException):
        answer.set_exception(embedded)
    else:
        answer.set_result(embedded)
