"""Anima, in this process: the only importer of `anima`."""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, cast
from uuid import UUID

import asyncpg
from pydantic import SecretStr

from anima import migrations, strategy
from anima.assembly import Anima, exact_search, open_anima, pool_of
from anima.connections import prepare_connection
from anima.database import Executed, Session
from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.protocol import EmbeddingSettings, SharedCacheSettings
from anima.errors import AnimaError, InvalidInput
from anima.model import BootstrapRequest, NewMemory, Query, content_hash
from anima.spending import SpentPart, spending_of_request
from anima.work import LANES, current_kind
from harness.errors import HarnessError, ProvisioningError, TargetError, UsageError, kind_of
from harness.measuring.connections import connected, settle
from harness.measuring.operations import Request
from harness.measuring.plans import ACCESS_METHODS, EXPLAIN, EXPLAIN_EXECUTED, StatementPlan, read_plan
from harness.measuring.statements import Counted, count, counting
from harness.measuring.targets.anima.concurrency.interleavings import Interleaving
from harness.measuring.targets.anima.equivalence import choices
from harness.measuring.targets.anima.equivalence.steps import ScriptStep, source
from harness.measuring.targets.anima.equivalence.trial import Disagreement
from harness.measuring.targets.anima.loading import LoadedMemory
from harness.measuring.targets.anima.presets import presets
from harness.measuring.targets.protocol import (
    BackgroundWork,
    Counterexample,
    Response,
    TargetContext,
    TargetStatistics,
    Verification,
    nothing_shared,
)

TABLES_VERSION: Final = 4
"""The tables without their vector index, which is built after the rows are there."""

STORAGE_VERSION: Final = 8
"""Says how full pages are, which holds for the rows that are written after it."""

PARTS: Final[tuple[SpentPart, ...]] = ("pool", "embedding", "coalesced", "retries")
LOADED_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)
PLANNED_AT_ONCE: Final = 4
"""Each takes round trips, which may be slow; no connection has to be opened for it."""

COLUMNS: Final = (
    "id",
    "content",
    "content_hash",
    "embedding",
    "tier",
    "access_count",
    "last_accessed",
    "category",
    "tags",
    "source",
    "resonance_phi",
    "is_catalyst",
    "tier_last_updated",
    "created_at",
    "updated_at",
)


def nothing() -> Sequence[LoadedMemory]:
    return ()


class AnimaTarget:
    """Variants are strategies: presets by name. The corpus is drawn when it is loaded, which takes a moment."""

    in_process = True
    packages = frozenset({"anima", "harness"})
    embedder = "anima.embeddings.hashing:hashed_vector"

    def __init__(self, corpus: Callable[[], Sequence[LoadedMemory]] = nothing, size: int = 0) -> None:
        self._corpus = corpus
        self._size = size

    def variants(self) -> Mapping[str, str]:
        return presets()

    def schema_version(self, variant: str) -> int:
        return strategy.preset(variant).schema_version

    @property
    def contents(self) -> str:
        return f"{self._size:,} memories"

    def base_of(self, schema_version: int, made: Collection[int]) -> int | None:
        """The newest of them: migrations go one after the other."""
        del schema_version
        return max(made, default=None)

    async def prepare(self, database_url: str, schema_version: int) -> None:
        await self.migrate(database_url, TABLES_VERSION)
        rows = await asyncio.to_thread(lambda: [_row(number, loaded) for number, loaded in enumerate(self._corpus())])
        async with connected(database_url) as connection:
            await prepare_connection(connection)
            await connection.copy_records_to_table("memories", columns=COLUMNS, records=rows)
        await self.migrate(database_url, schema_version)

    async def migrate(self, database_url: str, schema_version: int) -> None:
        try:
            await migrations.migrate(database_url, to=schema_version)
        except AnimaError as error:
            raise ProvisioningError(str(error)) from error
        await _settle(database_url, rewrite=schema_version >= STORAGE_VERSION)

    shared = staticmethod(nothing_shared)

    @asynccontextmanager
    async def open(self, context: TargetContext) -> AsyncGenerator["OpenAnima"]:
        """Opens the variant's pool with a connection for each user and each background worker."""
        embeddings = (
            EmbeddingSettings(provider="ollama", ollama_url=context.embedding_url)
            if context.embedding_url
            else EmbeddingSettings(provider="hashing")
        )
        preset = strategy.preset(context.variant)
        background: dict[str, Counted] = defaultdict(Counted)
        first_executed: dict[str, Executed] = {}

        def observe(executed: Executed) -> None:
            first_executed.setdefault(executed.name, executed)
            kind = current_kind.get()
            with counting(background[kind]) if kind else nullcontext():
                count(executed.name, elapsed_s=executed.elapsed_s, rows=executed.rows, control=executed.control)

        with expected_failures():
            async with open_anima(
                context.database_url,
                preset,
                embeddings,
                shared_cache=SharedCacheSettings(url=SecretStr(context.redis_url)) if context.redis_url else None,
                observer=observe,
                pool=replace(pool_of(preset), size_min=min(context.users + sum(LANES.values()), preset.pool_size)),
            ) as anima:
                stop = asyncio.Event()
                workers = asyncio.create_task(anima.background.run(stop))
                try:
                    yield OpenAnima(anima, background, first_executed)
                finally:
                    stop.set()
                    await workers

    def comparable(self, variants: Sequence[str]) -> Sequence[str]:
        """These, or each behaviour of the exact presets once. Raises `UsageError` for any that need not agree."""
        chosen = variants or choices.exact_presets()
        with expected_failures():
            choices.comparable(chosen)
        return chosen

    def verify(
        self,
        runner: asyncio.Runner,
        database_url: str,
        variants: Sequence[str],
        *,
        examples: int,
        seconds: float,
        seed: int,
        report: Callable[[int], None],
    ) -> Verification:
        """Looks for operations on which variants disagree, in schemas of their own; they are gone afterwards.

        `report` is told how many more scripts are done.
        """
        # Hypothesis takes long to load, and no other command needs it.
        from harness.measuring.targets.anima.equivalence import verification  # noqa: PLC0415 -- see above

        with expected_failures(), verification.open_search(database_url, variants, runner) as search:
            found = verification.look(search, examples=examples, seconds=seconds, first_seed=seed, report=report)
            shortest = counterexample(verification.shortened(search, found)) if found else None
        return Verification(search.scripts, search.met, shortest)

    def replay(
        self, runner: asyncio.Runner, database_url: str, variants: Sequence[str], steps: Sequence[object]
    ) -> Counterexample | None:
        """Performs steps as `verify` found them: values of `harness.measuring.targets.anima.equivalence.steps`."""
        from harness.measuring.targets.anima.equivalence import verification  # noqa: PLC0415 -- as in `verify`

        with expected_failures(), verification.open_search(database_url, variants, runner) as search:
            found = verification.replay(search, cast("Sequence[ScriptStep]", steps))
        return counterexample(found) if found else None

    def concurrently_comparable(self, variants: Sequence[str]) -> Sequence[str]:
        """These, or presets that between them do each thing in each way. Raises `UsageError` for any that cannot be."""
        return self.comparable(variants) if variants else choices.MET_CONCURRENTLY

    def verify_concurrent(
        self,
        runner: asyncio.Runner,
        database_url: str,
        variants: Sequence[str],
        *,
        examples: float,
        seconds: float,
        seed: int,
        clients: int,
        report: Callable[[int], None],
    ) -> Verification:
        """Looks for clients who leave together what no serial order of theirs would, in schemas of their own."""
        from harness.measuring.targets.anima.concurrency import pursuit, stated  # noqa: PLC0415 -- as in `verify`

        with expected_failures(), pursuit.open_pursuit(database_url, variants, runner) as pursued:
            found = pursuit.chase(
                pursued,
                examples=examples,
                seconds=seconds,
                first_seed=seed,
                clients=clients,
                first=stated.stated_for(variants),
                report=report,
            )
            scripts = pursued.scripts
            shown = pursuit.counterexample_of(pursuit.shortest(pursued, found)) if found else None
        return Verification(scripts, pursued.met, shown)

    def replay_concurrent(
        self, runner: asyncio.Runner, database_url: str, variant: str, interleaving: object
    ) -> Counterexample | None:
        """Performs an `Interleaving` as `verify_concurrent` found it."""
        from harness.measuring.targets.anima.concurrency import pursuit  # noqa: PLC0415 -- as in `verify`

        with expected_failures(), pursuit.open_pursuit(database_url, [variant], runner) as pursued:
            found = pursued.repeat(pursued.stage_of(variant), cast("Interleaving", interleaving))
        return pursuit.counterexample_of(found) if found else None


def counterexample(found: Disagreement) -> Counterexample:
    return Counterexample(found.strategy, str(found), tuple(map(source, found.steps)))


@contextmanager
def expected_failures() -> Generator[None]:
    """Raises what the person who asked can end, in the harness's terms."""
    try:
        yield
    except InvalidInput as error:
        raise UsageError(str(error)) from error
    except AnimaError as error:
        raise ProvisioningError(str(error)) from error


@contextmanager
def lost_while(doing: str) -> Generator[None]:
    """A database that was there when the run began: what goes wrong with it now makes the run invalid."""
    try:
        yield
    except AnimaError as error:
        raise HarnessError(f"{error} That was while {doing}, so this run cannot be judged.") from error


async def _settle(database_url: str, *, rewrite: bool) -> None:
    """Settles the tables; written anew where rows should lie as the schema says and not as they were loaded."""
    async with connected(database_url) as connection:
        if rewrite:
            await connection.execute("VACUUM (FULL) memories")
        await settle(connection)


def _row(number: int, loaded: LoadedMemory) -> tuple[object, ...]:
    """Ids, times and vectors follow from the corpus, so two loads of one corpus are the same."""
    memory = loaded.memory
    digest = content_hash(memory.content)
    at = LOADED_AT + timedelta(seconds=number)
    return (
        UUID(bytes=hashlib.blake2b(digest.encode(), digest_size=16).digest()),
        memory.content,
        digest,
        hashed_vector(memory.content),
        loaded.tier,
        loaded.access_count,
        at,
        memory.category,
        list(memory.tags),
        memory.source,
        loaded.resonance_phi,
        memory.is_catalyst,
        at,
        at,
        at,
    )


def cache_counters(cache: CachedEmbeddings | None) -> dict[str, int]:
    if cache is None:
        return {}
    counted = cache.statistics()
    return {
        "hits": counted.hits,
        "misses": counted.misses,
        "coalesced": counted.coalesced,
        "evictions": counted.evictions,
    }


@dataclass(frozen=True, slots=True)
class OpenAnima:
    """A running memory system, what its background work has cost so far, per kind, and its statements by name."""

    anima: Anima
    background: Mapping[str, Counted]
    first_executed: Mapping[str, Executed]

    async def perform(self, request: Request) -> Response:
        with counting() as counted, spending_of_request() as spent:
            try:
                response = await self._perform(request)
            except AnimaError as error:
                raise TargetError(kind_of(error), str(error)) from error
            except asyncpg.PostgresError as error:
                raise TargetError(kind_of(error), f"{request.operation}: {error}") from error
        return Response(
            statements=counted.statements,
            round_trips=counted.round_trips,
            rows=counted.rows,
            results=response.results,
            promotions=response.promotions,
            proven=response.proven,
            embedding=response.embedding,
            elapsed_s={**{part: spent[part] for part in PARTS if part in spent}, **counted.elapsed_s},
            calls=counted.calls,
        )

    async def _perform(self, request: Request) -> Response:
        memory = self.anima.memory
        match request.operation:
            case "add":
                added = await memory.add(NewMemory.parse(**request.arguments))
                return Response(results=1, embedding=added.embedding_provider)
            case "query":
                found = await memory.query(Query.parse(**request.arguments))
                return Response(
                    results=len(found.memories),
                    promotions=len(found.promotions),
                    proven=found.is_proven,
                    embedding=found.embedding_provider,
                )
            case "bootstrap":
                bootstrap = await memory.bootstrap(BootstrapRequest.parse(**request.arguments))
                return Response(results=bootstrap.distribution["total"])
            case _:
                raise TargetError("no such operation", f"Anima has no operation {request.operation!r}.")

    async def prime(self, texts: Sequence[str]) -> None:
        """Puts into the cache what the provider answered long ago: the vectors that its server would send."""
        if self.anima.cache is not None:
            for text, vector in zip(texts, await asyncio.to_thread(lambda: [*map(hashed_vector, texts)]), strict=True):
                self.anima.cache.keep(text, vector)

    async def drain(self) -> None:
        with lost_while("background work was waited for"):
            await self.anima.background.drain()

    async def reconnect(self) -> None:
        """Of the pool, the connection that the next request takes; nobody else asks."""
        async with self._session("its connection was opened again"):
            pass

    @asynccontextmanager
    async def _session(self, doing: str) -> AsyncGenerator[Session]:
        with lost_while(doing):
            async with self.anima.memory.database.session() as session:
                yield session

    async def plans(self, *, executed: bool = False) -> tuple[StatementPlan, ...]:
        side_by_side = asyncio.Semaphore(1 if executed else PLANNED_AT_ONCE)
        async with self._session("statements were explained") as session:
            indexes = await session.connection.fetch(ACCESS_METHODS)
        access_methods: dict[str, str] = {each["index"]: each["access_method"] for each in indexes}

        async def plan(first: Executed) -> StatementPlan:
            explain = EXPLAIN_EXECUTED if executed else EXPLAIN
            async with side_by_side, self._session("statements were explained") as session:
                transaction = session.connection.transaction()
                await transaction.start()
                try:
                    explained = await session.connection.fetchval(explain + first.sql, *first.arguments)
                finally:
                    await transaction.rollback()
            return read_plan(first.name, explained, access_methods)

        statements = [first for _, first in sorted(self.first_executed.items()) if not first.control]
        return tuple(await asyncio.gather(*map(plan, statements)))

    async def recalls(self, queries: Sequence[Request]) -> tuple[float, ...]:
        shares: list[float] = []
        async with self._session("recall was measured") as session:
            for request in queries:
                query = Query.parse(**request.arguments)
                vector = await asyncio.to_thread(hashed_vector, query.query)
                exact = {found.memory.id for found in await exact_search().find(session, query, vector)}
                own = {found.memory.id for found in await self.anima.memory.search.find(session, query, vector)}
                shares += [len(exact & own) / len(exact)] if exact else []
        return tuple(shares)

    async def report_statistics(self) -> bool:
        try:
            return await self.anima.memory.database.report_statistics()
        except AnimaError:
            return False

    def levels(self) -> Mapping[str, float]:
        pool = self.anima.memory.database.pool_statistics()
        return {
            "background_queued": self.anima.background.backlog,
            "pool_in_use": pool.size - pool.idle,
            "pool_waiting": pool.waiting,
        }

    async def statistics(self) -> TargetStatistics:
        counts = self.anima.background.counts
        return TargetStatistics(
            cache=cache_counters(self.anima.cache),
            pool=asdict(self.anima.memory.database.pool_statistics()),
            background=tuple(
                BackgroundWork(
                    kind=kind,
                    count=done.done,
                    failures=done.failed_attempts,
                    statements=self.background[kind].statements,
                    round_trips=self.background[kind].round_trips,
                )
                for kind, done in sorted(counts.items())
            ),
        )
