"""A second provider for when the first cannot be reached."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from anima.embeddings.protocol import Embedded, EmbeddingProvider, ProviderCalls
from anima.errors import EmbeddingUnavailable

logger = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class FallbackEmbeddings:
    """Asks `primary`, and `secondary` only when that is unavailable: an invalid answer is final.

    Its name and model are the primary's; `Embedded.provider` says who answered. Vectors of two models cannot
    be compared, so a fallback keeps a service answering, but not well.
    """

    def __init__(self, primary: EmbeddingProvider, secondary: EmbeddingProvider) -> None:
        self._primary = primary
        self._secondary = secondary

    @property
    def name(self) -> str:
        return self._primary.name

    @property
    def model(self) -> str:
        return self._primary.model

    async def embed(self, text: str) -> Embedded:
        return await self._first_available(lambda provider: provider.embed(text))

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return await self._first_available(lambda provider: provider.embed_many(texts))

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return (*self._primary.server_calls(), *self._secondary.server_calls())

    async def aclose(self) -> None:
        try:
            await self._primary.aclose()
        finally:
            await self._secondary.aclose()

    async def _first_available(self, ask: Callable[[EmbeddingProvider], Awaitable[Answer]]) -> Answer:
        try:
            return await ask(self._primary)
        except EmbeddingUnavailable as unavailable:
            logger.warning("%s Asking %s instead.", unavailable, self._secondary.name)
            try:
                return await ask(self._secondary)
            except EmbeddingUnavailable as also_unavailable:
                raise both_unavailable(unavailable, also_unavailable) from also_unavailable


def both_unavailable(first: EmbeddingUnavailable, second: EmbeddingUnavailable) -> EmbeddingUnavailable:
    """The first that can be asked again decides when; one that did not say may be asked at any time."""
    waits_s = (first.retry_after_s, second.retry_after_s)
    return EmbeddingUnavailable(f"{first} {second}", retry_after_s=min(wait_s or 0.0 for wait_s in waits_s) or None)
