"""The composition root: the only place that picks concrete pieces and connects them."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from uuid import UUID, uuid4

from anima import chores
from anima.access_records import ACCESS_RECORDS
from anima.associations import ASSOCIATIONS
from anima.background import Background, Counts
from anima.bootstraps import BOOTSTRAPS
from anima.catalysts import IN_TABLES, WITH_UNFOLDED, DetectionAtOnce, StepwiseDetection
from anima.consolidations import CONSOLIDATIONS
from anima.database import Database, Observer, PoolSettings, ignore, open_database
from anima.embeddings import PROVIDERS
from anima.embeddings.batching import BatchingEmbeddings
from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.fallback import FallbackEmbeddings
from anima.embeddings.protocol import EmbeddingProvider, EmbeddingSettings, SharedCacheSettings
from anima.embeddings.unusable import UnusableEmbeddings
from anima.errors import InvalidInput
from anima.memory import MemorySystem
from anima.placements import (
    AfterAdd,
    BackgroundAfterAdd,
    BackgroundAfterQuery,
    InlineAfterAdd,
    InlineAfterQuery,
    OneStatementAfterAdd,
    batch_handlers,
    handlers,
)
from anima.recalls import RECALLS
from anima.recalls.protocol import Steps
from anima.searches import SEARCHES
from anima.searches.protocol import Search
from anima.standbys import CallerHistory, Reach, Replication, open_standbys
from anima.strategy import Strategy

if TYPE_CHECKING:
    from anima.embeddings.shared_cache import SharedEmbeddings

CACHE_ENTRIES: Final = 10_000
BACKGROUND_SHARE: Final = 2
"""Of a pool that tenants share, the background work of all of them takes no more than one connection in two."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Anima:
    """An open memory system, the background work it accepts, and the tiers of its cache if its strategy has one.

    Where standbys follow its database, `of_caller` has them answer what they can.
    """

    memory: MemorySystem
    background: Background
    cache: CachedEmbeddings | None
    shared_cache: "SharedEmbeddings | None"
    standbys: Replication | None = None

    def of_caller(self, history: CallerHistory, *, is_known: bool = True) -> MemorySystem:
        """The memory system for one caller; `history` is kept by who knows the caller, and goes on with each write.

        Of one who is not known it begins with the first answer, which is the primary's.
        """
        return self.memory if self.standbys is None else self.memory.reaching(Reach(self.standbys, history, is_known))


def now() -> datetime:
    return datetime.now(UTC)


@asynccontextmanager
async def open_anima(
    url: str,
    strategy: Strategy,
    embeddings: EmbeddingSettings | EmbeddingProvider,
    *,
    shared_cache: SharedCacheSettings | None = None,
    observer: Observer = ignore,
    pool: PoolSettings | None = None,
    replica_urls: Sequence[str] = (),
    has_peers: bool = False,
    clock: Callable[[], datetime] = now,
    new_id: Callable[[], UUID] = uuid4,
) -> AsyncGenerator[Anima]:
    """A memory system on a migrated database, closed when the block ends; its pool is the strategy's unless stated.

    With `has_peers`, other processes may do background work on the same database. `replica_urls` are those of servers
    that follow it.

    Raises `DatabaseUnavailable`.
    """
    settings = pool or pool_of(strategy)
    async with (
        aclosing(embedding_chain(provider_for(embeddings), strategy, shared_cache)) as embedding,
        _opened(url, settings, replica_urls, observer) as (database, standbys),
    ):
        anima = connect(strategy, database, embedding, has_peers=has_peers, clock=clock, new_id=new_id)
        yield replace(anima, standbys=standbys)


@asynccontextmanager
async def open_tenants(
    url: str,
    strategy: Strategy,
    embeddings: EmbeddingSettings | EmbeddingProvider,
    schemas: Mapping[str, str],
    *,
    shared_cache: SharedCacheSettings | None = None,
    observer: Observer = ignore,
    pool: PoolSettings | None = None,
    replica_urls: Sequence[str] = (),
    has_peers: bool = False,
) -> AsyncGenerator[Mapping[str, Anima]]:
    """A memory system for each tenant, by its name, in a migrated schema of its own; they share the pool.

    Each has a cache of its own, since a hit would tell that another asked the same, and an equal share of the room.
    Raises what `open_anima` does.
    """
    settings = pool or pool_of(strategy)
    provider = in_batches(provider_for(embeddings), strategy)
    room = asyncio.Semaphore(max(1, settings.size // BACKGROUND_SHARE))
    async with AsyncExitStack() as stack:
        database, standbys = await stack.enter_async_context(_opened(url, settings, replica_urls, observer))
        animas: dict[str, Anima] = {}
        for tenant, schema in schemas.items():
            own = shared_cache and shared_cache.model_copy(update={"keyspace": f"tenant {tenant}:"})
            chain = embedding_chain(provider, strategy, own, max_entries=max(1, CACHE_ENTRIES // len(schemas)))
            await stack.enter_async_context(aclosing(chain))
            anima = connect(strategy, database.of_schema(schema), chain, has_peers=has_peers, clock=now, new_id=uuid4)
            # All of them together look for work as often as one would.
            poll_s = anima.background.poll_s * len(schemas)
            background = replace(anima.background, poll_s=poll_s, room=room)
            animas[tenant] = replace(anima, background=background, standbys=standbys and standbys.of_schema(schema))
        yield animas


@asynccontextmanager
async def _opened(
    url: str, settings: PoolSettings, replica_urls: Sequence[str], observer: Observer
) -> AsyncGenerator[tuple[Database, Replication | None]]:
    async with open_database(url, settings, observer) as database:
        if not replica_urls:
            yield database, None
            return
        async with open_standbys(database, replica_urls, settings, observer) as standbys:
            yield database, standbys


@dataclass(frozen=True, slots=True)
class EmbeddingChain:
    """Says who is asked for a vector first, and the caches among those behind."""

    first: EmbeddingProvider
    cache: CachedEmbeddings | None = None
    shared_cache: "SharedEmbeddings | None" = None

    async def aclose(self) -> None:
        await self.first.aclose()


def in_batches(provider: EmbeddingProvider, strategy: Strategy) -> EmbeddingProvider:
    """One whose calls go to a server is asked for several texts at once, if the strategy has it so."""
    is_asked_so = strategy.embedding_cache and strategy.embedding_batches and bool(provider.server_calls())
    return BatchingEmbeddings(provider) if is_asked_so and not isinstance(provider, BatchingEmbeddings) else provider


def embedding_chain(
    provider: EmbeddingProvider,
    strategy: Strategy,
    shared_cache: SharedCacheSettings | None,
    *,
    max_entries: int = CACHE_ENTRIES,
) -> EmbeddingChain:
    """A cache in the process, if the strategy has one; behind it one in Redis, if there is one; then the provider."""
    if not strategy.embedding_cache:
        return EmbeddingChain(provider)
    provider = in_batches(provider, strategy)
    shared = _shared(provider, shared_cache) if shared_cache else None
    cache = CachedEmbeddings(shared or provider, max_entries=max_entries)
    return EmbeddingChain(cache, cache, shared)


def _shared(provider: EmbeddingProvider, settings: SharedCacheSettings) -> "SharedEmbeddings":
    """Imports the client of Redis, which takes half a second, where it is wanted alone."""
    from anima.embeddings.shared_cache import SharedEmbeddings  # noqa: PLC0415 -- see above

    return SharedEmbeddings.connect(provider, settings)


def pool_of(strategy: Strategy) -> PoolSettings:
    return PoolSettings(strategy.pool_size, acquire_timeout_s=strategy.acquire_timeout_s)


def exact_search() -> Search:
    """Is what an approximate search is held to."""
    return SEARCHES["exact"]


def provider_for(settings: EmbeddingSettings | EmbeddingProvider) -> EmbeddingProvider:
    """The chosen provider, with OpenAI behind it when a key is set. One that is made already stays as it is.

    Raises `InvalidInput` when there is no such provider.
    """
    if not isinstance(settings, EmbeddingSettings):
        return settings
    provider = first_choice(settings)
    if settings.openai_key is None or settings.provider == "openai":
        return provider
    return FallbackEmbeddings(provider, stand_in(settings))


def first_choice(settings: EmbeddingSettings) -> EmbeddingProvider:
    """The chosen provider alone. Raises `InvalidInput`."""
    if settings.provider not in PROVIDERS:
        raise InvalidInput(f"There is no embedding provider {settings.provider!r}. Providers: {', '.join(PROVIDERS)}.")
    return PROVIDERS[settings.provider](settings)


def stand_in(settings: EmbeddingSettings) -> EmbeddingProvider:
    """OpenAI; where it cannot be made, that is told when it is asked, since it may never be."""
    try:
        return PROVIDERS["openai"](settings)
    except InvalidInput as error:
        logger.warning("OpenAI cannot stand in for %s: %s", settings.provider, error)
        return UnusableEmbeddings("openai", str(error))


def connect(
    strategy: Strategy,
    database: Database,
    embeddings: EmbeddingChain,
    *,
    has_peers: bool = False,
    clock: Callable[[], datetime],
    new_id: Callable[[], UUID],
) -> Anima:
    """Puts the pieces that the strategy names together."""
    associations = ASSOCIATIONS[strategy.associations]
    consolidation = CONSOLIDATIONS[strategy.consolidation]
    is_apart = strategy.access_records == "apart"
    detection = DetectionAtOnce(WITH_UNFOLDED if is_apart else IN_TABLES)
    background = Background(
        database,
        handlers(associations, consolidation, detection),
        defaultdict(Counts),
        has_peers,
        batch_handlers=batch_handlers(consolidation, detection),
        chores=chores.APART if is_apart else {},
    )
    steps = Steps(
        search=SEARCHES[strategy.search],
        access_records=ACCESS_RECORDS[strategy.access_records],
        after_query=BackgroundAfterQuery(background)
        if strategy.association_placement == "background"
        else InlineAfterQuery(associations),
        background=background,
    )
    inline = InlineAfterAdd(consolidation, detection if is_apart else StepwiseDetection())
    memory = MemorySystem(
        strategy=strategy,
        database=database,
        embeddings=embeddings.first,
        search=steps.search,
        recall=RECALLS[strategy.recall](steps),
        bootstraps=BOOTSTRAPS[strategy.bootstrap],
        after_add=after_add(strategy, background, inline),
        clock=clock,
        new_id=new_id,
    )
    return Anima(memory, background, embeddings.cache, embeddings.shared_cache)


def after_add(strategy: Strategy, background: Background, inline: InlineAfterAdd) -> AfterAdd:
    if strategy.consolidation_placement == "inline":
        return inline
    return OneStatementAfterAdd(background) if strategy.access_records == "apart" else BackgroundAfterAdd(background)
