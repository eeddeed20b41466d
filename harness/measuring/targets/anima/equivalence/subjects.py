"""A strategy under comparison: its memory system on tables of its own, and what only a comparison does to them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, assert_never

from anima.assembly import Anima, open_anima
from anima.database import Statement
from anima.model import Added, Bootstrap, BootstrapRequest, Found, NewMemory, Query, content_hash
from anima.rows import COLUMNS, memory_from
from anima.strategy import Strategy
from harness.measuring.targets.anima.equivalence.sources import Ids, ScriptClock
from harness.measuring.targets.anima.equivalence.spelling import SpelledEmbeddings, vector_of
from harness.measuring.targets.anima.equivalence.state import Association, AuditedPromotion, LoggedAccess, State
from harness.measuring.targets.anima.equivalence.steps import Drain, Load, ScriptStep, SoftDelete, Wait

CLEAR: Final = Statement(
    "subject.clear",
    "TRUNCATE memories, memory_associations, tier_promotions, memory_access_log, pgqueuer, pgqueuer_log",
)
LOAD: Final = Statement(
    "subject.load",
    """
    INSERT INTO memories (
        id, content, content_hash, embedding, tier, access_count, resonance_phi, is_catalyst,
        tier_last_updated, last_accessed, created_at, updated_at
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $9, $9)
    """,
)
SOFT_DELETE: Final = Statement(
    "subject.soft_delete",
    "UPDATE memories SET deleted_at = $2, updated_at = $2 WHERE content_hash = $1 AND deleted_at IS NULL",
)


def read_merged_into(strategy: Strategy) -> Statement:
    return Statement(
        "subject.read_merged_into",
        f"""
        WITH RECURSIVE trail (id, merged_into) AS (
            SELECT id, merged_into FROM memories WHERE id = $1
            UNION
            SELECT m.id, m.merged_into FROM memories AS m JOIN trail ON m.id = trail.merged_into
        )
        SELECT {COLUMNS} FROM {memories_of(strategy)}
        WHERE id <> $1 AND id IN (SELECT id FROM trail WHERE merged_into IS NULL)
        """,  # noqa: S608 -- only the constant column list and the name of a table are put in
    )


def read_memories(strategy: Strategy) -> Statement:
    return Statement(
        "subject.memories",
        f"SELECT {COLUMNS} FROM {memories_of(strategy)} WHERE deleted_at IS NULL",  # noqa: S608 -- as above
    )


def memories_of(strategy: Strategy) -> str:
    """The table whose rows are as that strategy leaves them."""
    return "current_memories" if strategy.access_records == "apart" else "memories"


ASSOCIATIONS: Final = Statement(
    "subject.associations",
    """
    SELECT a.content AS a, b.content AS b, co_occurrence_count, strength, conversation_contexts, last_co_occurred_at
    FROM memory_associations
    JOIN memories AS a ON a.id = memory_a_id AND a.deleted_at IS NULL
    JOIN memories AS b ON b.id = memory_b_id AND b.deleted_at IS NULL
    """,
)
PROMOTIONS: Final = Statement(
    "subject.promotions",
    """
    SELECT content, from_tier, to_tier, reason, access_count_at_promotion
    FROM tier_promotions AS p JOIN memories AS m ON m.id = p.memory_id AND m.deleted_at IS NULL
    """,
)
ACCESSES: Final = Statement(
    "subject.accesses",
    """
    SELECT content, accessed_at
    FROM memory_access_log AS l JOIN memories AS m ON m.id = l.memory_id AND m.deleted_at IS NULL
    """,
)

LAST_FAILURE: Final = Statement(
    "subject.last_failure",
    """
    SELECT entrypoint, traceback ->> 'exception_type' AS type, traceback ->> 'exception_message' AS message
    FROM pgqueuer_log
    WHERE traceback IS NOT NULL
    ORDER BY id DESC
    LIMIT 1
    """,
)

SubjectAnswer: TypeAlias = Added | Found | Bootstrap | None


class WorkFailed(Exception):
    """Accepted background work raised instead of being done."""


@dataclass(frozen=True, slots=True)
class Subject:
    """Whatever happens to it takes its time from `clock` and its ids from `new_id`."""

    name: str
    anima: Anima
    clock: ScriptClock
    new_id: Ids

    async def perform(self, step: ScriptStep) -> SubjectAnswer:
        match step:
            case NewMemory():
                return await self._add(step)
            case Query():
                return await self.anima.memory.query(step)
            case BootstrapRequest():
                return await self.anima.memory.bootstrap(step)
            case Load():
                await self._load(step)
            case SoftDelete():
                async with self.anima.memory.database.session() as session:
                    await session.execute(SOFT_DELETE, content_hash(step.content), self.clock())
            case Drain():
                await self._drain()
            case Wait():
                pass
            case _:
                assert_never(step)
        return None

    async def state(self) -> State:
        async with self.anima.memory.database.session() as session:
            return State(
                memories=[memory_from(row) for row in await session.fetch(read_memories(self.anima.memory.strategy))],
                associations={
                    frozenset((row["a"], row["b"])): Association(
                        row["co_occurrence_count"],
                        row["strength"],
                        frozenset(row["conversation_contexts"]),
                        row["last_co_occurred_at"],
                    )
                    for row in await session.fetch(ASSOCIATIONS)
                },
                promotions=[AuditedPromotion(*row) for row in await session.fetch(PROMOTIONS)],
                accesses=[LoggedAccess(*row) for row in await session.fetch(ACCESSES)],
            )

    async def restart(self) -> None:
        """As new, except that its cache knows what it knew: a text has the same vector in every trial."""
        self.new_id.restart()
        async with self.anima.memory.database.session() as session:
            await session.execute(CLEAR)

    async def _add(self, new: NewMemory) -> Added:
        """The answer once the work that it accepted is done: a memory that has been merged stands for its survivor."""
        added = await self.anima.memory.add(new)
        await self._drain()
        async with self.anima.memory.database.session() as session:
            survivor = await session.fetch_row(read_merged_into(self.anima.memory.strategy), added.memory.id)
        return replace(added, memory=memory_from(survivor), duplicate="semantic") if survivor else added

    async def _load(self, load: Load) -> None:
        async with self.anima.memory.database.session() as session:
            await session.execute(
                LOAD,
                self.new_id(),
                load.content,
                content_hash(load.content),
                vector_of(load.content),
                load.tier,
                load.access_count,
                load.resonance_phi,
                load.is_catalyst,
                self.clock(),
            )

    async def _drain(self) -> None:
        if not await self.anima.background.drain():
            return
        async with self.anima.memory.database.session() as session:
            failure = await session.fetch_row(LAST_FAILURE)
        assert failure is not None, "the queue logs each failed attempt"
        raise WorkFailed("{entrypoint} raised {type}: {message}".format(**failure))


@asynccontextmanager
async def open_subject(url: str, strategy: Strategy, clock: ScriptClock) -> AsyncGenerator[Subject]:
    """The strategy on a database that is migrated to its schema version, and belongs to it alone."""
    new_id = Ids()
    async with open_anima(url, strategy, SpelledEmbeddings(), clock=clock, new_id=new_id) as anima:
        yield Subject(strategy.name, anima, clock, new_id)
