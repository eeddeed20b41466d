"""Says which provider embeds a service's texts where none is named, and whether the stored memories are one's own.

Vectors of two providers cannot be compared: with another provider than before, a service finds none of its memories and
merges no duplicates. Whose vectors are stored is found out by asking for some of the texts again.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import Final, NamedTuple

import numpy as np

from anima.assembly import first_choice
from anima.background import is_set_within
from anima.connections import connected
from anima.database import Database, Statement
from anima.embeddings.ollama import MODEL, OllamaEmbeddings, Presence
from anima.embeddings.protocol import EmbeddingProvider, EmbeddingSettings, Vector
from anima.errors import AnimaError, InvalidInput

OFFLINE: Final = ("local", "hashing")
"""The providers that need no server, the better first."""

KNOWS: Final = {"local": "with a small model", "hashing": "by their words and not by meaning"}
POLL_S: Final = 1.0

SAME_FROM: Final = 0.99
"""The cosine similarity from which two vectors of a text are one provider's: other hardware rounds otherwise."""

SAMPLE: Final = Statement(
    "embeddings.sample",
    "SELECT content, embedding::real[] AS components FROM memories WHERE deleted_at IS NULL LIMIT $1",
    reads=True,
)

logger = logging.getLogger(__name__)


class Stored(NamedTuple):
    """A memory's text and its vector."""

    content: str
    components: Sequence[float]


class Choice(NamedTuple):
    """A provider's name, and what there is to say of it."""

    provider: str
    remark: str = ""


async def chosen(settings: EmbeddingSettings, url: str, *, is_named: bool) -> Choice:
    """The provider to use. Raises `InvalidInput` where it cannot be made."""
    if is_named:
        choice = Choice(settings.provider)
    else:
        async with connected(url) as connection:
            stored = [Stored(**row) for row in await connection.fetch(SAMPLE.sql, 3)]
        async with aclosing(OllamaEmbeddings(settings)) as ollama:
            choice = await choose(settings, stored, await ollama.presence())
    await named(settings, choice.provider).aclose()
    return choice


async def choose(settings: EmbeddingSettings, stored: Sequence[Stored], presence: Presence) -> Choice:
    """Whoever embedded what is stored, else an Ollama that is there, else the best offline provider there is."""
    offline = {name: provider for name in OFFLINE if (provider := installed(settings, name)) is not None}
    try:
        makers = [name for name, provider in offline.items() if stored and await is_maker(provider, stored)]
    finally:
        await asyncio.gather(*[provider.aclose() for provider in offline.values()])
    lack = (
        f"{'no Ollama answers' if presence == 'away' else f'the Ollama has no model {MODEL}'} at {settings.ollama_url}"
    )
    if makers:
        return Choice(
            makers[0],
            f"The stored memories were embedded offline ({makers[0]}), {KNOWS[makers[0]]}, and so are new ones. "
            "For another provider, start with an empty database and name it in ANIMA_EMBEDDING_PROVIDER.",
        )
    if presence == "ready":
        return Choice("ollama")
    if stored:
        return Choice(
            "ollama",
            f"No embedding provider is named, and {lack}; the stored memories were not embedded offline. Run `ollama "
            f"serve` and `ollama pull {MODEL}`, or name the provider they were added with in ANIMA_EMBEDDING_PROVIDER.",
        )
    best = next(iter(offline))
    return Choice(
        best,
        f"No embedding provider is named, and {lack}: texts are embedded offline ({best}), {KNOWS[best]}. "
        f"To change that, before memories are added: `ollama pull {MODEL}`, or ANIMA_EMBEDDING_PROVIDER.",
    )


def installed(settings: EmbeddingSettings, provider: str) -> EmbeddingProvider | None:
    """None where an extra is missing."""
    try:
        return named(settings, provider)
    except InvalidInput:
        return None


def named(settings: EmbeddingSettings, provider: str) -> EmbeddingProvider:
    return first_choice(settings.model_copy(update={"provider": provider}))


async def is_maker(provider: EmbeddingProvider, stored: Sequence[Stored]) -> bool:
    """Says whether the provider embeds each text as it is stored."""
    for content, components in stored:
        embedded = await provider.embed(content)
        if (
            embedded.provider == provider.name
            and similarity(embedded.vector, np.asarray(components, np.float32)) < SAME_FROM
        ):
            return False
    return True


def similarity(first: Vector, second: Vector) -> float:
    return float(first @ second / (np.linalg.norm(first) * np.linalg.norm(second)))


async def warn_of_another_maker(database: Database, provider: EmbeddingProvider, stop: asyncio.Event) -> None:
    """Once, beside the requests, when the provider has answered one: a server that fails is not asked for more."""
    while not all(calls.answered for calls in provider.server_calls()[:1]):
        if await is_set_within(stop, POLL_S):
            return
    check = asyncio.create_task(_warn(database, provider))
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({check, stopped}, return_when=asyncio.FIRST_COMPLETED)
    for task in (check, stopped):
        task.cancel()
    await asyncio.gather(check, stopped, return_exceptions=True)


async def _warn(database: Database, provider: EmbeddingProvider) -> None:
    with suppress(AnimaError):
        async with database.session() as session:
            stored = [Stored(**row) for row in await session.fetch(SAMPLE, 1)]
        if not await is_maker(provider, stored):
            logger.warning(
                "The stored memories were embedded by another provider or model than %s (%s): no query will find them. "
                "Name the one that they were added with in ANIMA_EMBEDDING_PROVIDER, or use an empty database.",
                *(provider.name, provider.model),
            )
