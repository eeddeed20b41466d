"""A second provider for when the first cannot be reached."""

import logging

from anima.embeddings.protocol import Embedded, EmbeddingProvider
from anima.errors import EmbeddingUnavailable

logger = logging.getLogger(__name__)


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
        try:
            return await self._primary.embed(text)
        except EmbeddingUnavailable as unavailable:
            logger.warning("%s Asking %s instead.", unavailable, self._secondary.name)
            return await self._embed_by_secondary(text, unavailable)

    async def aclose(self) -> None:
        try:
            await self._primary.aclose()
        finally:
            await self._secondary.aclose()

    async def _embed_by_secondary(self, text: str, unavailable: EmbeddingUnavailable) -> Embedded:
        try:
            return await self._secondary.embed(text)
        except EmbeddingUnavailable as also_unavailable:
            raise EmbeddingUnavailable(f"{unavailable} {also_unavailable}") from also_unavailable
