"""Fills the cache after a start with texts that are known to be asked for, so that nobody waits for them again."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from anima.embeddings.protocol import EmbeddingProvider
from anima.errors import AnimaError, EmbeddingRefused, InvalidInput

TEXTS_AT_ONCE: Final = 64

logger = logging.getLogger(__name__)


def texts_in(path: Path) -> Sequence[str]:
    """The lines of a UTF-8 file that hold something. Raises `InvalidInput`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"The texts to warm the cache with cannot be read from {path} ({error}).") from None
    return [line.strip() for line in lines if line.strip()]


async def warm(embeddings: EmbeddingProvider, texts: Sequence[str], stop: asyncio.Event) -> None:
    """Asks for many texts in one call, beside the requests. Gives up at the first failure: a request asks again."""
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        if stop.is_set():
            return
        try:
            await embed_all(embeddings, texts[start : start + TEXTS_AT_ONCE])
        except AnimaError as error:
            logger.warning("The cache was warmed with %d of %d texts: %s", start, len(texts), error)
            return
    logger.info("The cache was warmed with %d texts.", len(texts))


async def embed_all(embeddings: EmbeddingProvider, texts: Sequence[str]) -> None:
    """In one call, or each alone where one of them is refused: the others are warmed all the same."""
    try:
        await embeddings.embed_many(texts)
    except EmbeddingRefused:
        for text in texts:
            with suppress(EmbeddingRefused):
                await embeddings.embed(text)
