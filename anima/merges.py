"""Merging a written memory into its older duplicate: both rows locked, nothing of the newer one lost."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import cycle
from typing import Final
from uuid import UUID

from anima import store
from anima.associations.protocol import INSERT_PAIRS, NO_MERGES, strength_of
from anima.connections import Row
from anima.consolidations.protocol import Consolidation, Duplicates
from anima.database import Session, Statement

EXCLUDE_OTHERS: Final = Statement("merge.exclude_others", "SELECT pg_advisory_xact_lock(hashtext('anima.merge'))")
EXCLUDE_MERGES: Final = Statement("merge.exclude", f"SELECT {NO_MERGES}")
SURVIVORS: Final = Statement(
    "merge.survivors",
    """
    WITH RECURSIVE trail (id, merged_into) AS (
        SELECT id, merged_into FROM memories WHERE id = ANY($1::uuid[])
        UNION
        SELECT m.id, m.merged_into FROM memories AS m JOIN trail ON m.id = trail.merged_into
    )
    SELECT m.id FROM memories AS m JOIN trail USING (id) WHERE trail.merged_into IS NULL AND m.deleted_at IS NULL
    """,
)
LOCK: Final = Statement(
    "merge.lock",
    """
    SELECT id, content, is_catalyst, coalesce(metadata -> 'semantic_variants', '[]'::jsonb)::text AS variants
    FROM memories
    WHERE id = $1 AND deleted_at IS NULL
    FOR UPDATE
    """,
)
LOCK_IF_FREE: Final = Statement("merge.lock_if_free", f"{LOCK.sql} SKIP LOCKED")
RETIRE: Final = Statement(
    "merge.retire", "UPDATE memories SET deleted_at = $2, updated_at = $2, merged_into = $3 WHERE id = $1"
)
MOVE_ASSOCIATIONS: Final = Statement(
    "merge.move_associations",
    f"""
    WITH moved AS (
        DELETE FROM memory_associations WHERE memory_a_id = $1 OR memory_b_id = $1 RETURNING *
    ),
    renamed AS (
        SELECT CASE memory_a_id WHEN $1 THEN memory_b_id ELSE memory_a_id END AS other_id, moved.* FROM moved
    )
    {INSERT_PAIRS}
    SELECT least(other_id, $2), greatest(other_id, $2), co_occurrence_count, strength, conversation_contexts,
        first_co_occurred_at, last_co_occurred_at, created_at, $3
    FROM renamed
    WHERE other_id <> $2
    ORDER BY 1, 2
    ON CONFLICT (memory_a_id, memory_b_id) DO UPDATE
    SET co_occurrence_count = known.co_occurrence_count + excluded.co_occurrence_count,
        strength = {strength_of("known.co_occurrence_count + excluded.co_occurrence_count")},
        conversation_contexts = ARRAY(
            SELECT DISTINCT unnest(known.conversation_contexts || excluded.conversation_contexts) ORDER BY 1
        ),
        first_co_occurred_at = least(known.first_co_occurred_at, excluded.first_co_occurred_at),
        last_co_occurred_at = greatest(known.last_co_occurred_at, excluded.last_co_occurred_at),
        updated_at = $3
    """,  # noqa: S608 -- only constants of the axis are put in
)


class SeveralMerges(Exception):
    """More than one memory has an older duplicate: each needs a transaction of its own."""


async def consolidate(
    session: Session, consolidation: Consolidation, memory_id: UUID, at: datetime
) -> tuple[UUID, ...]:
    """Merges the memory into its nearest older duplicate, if it has one. Must run inside a transaction.

    Returns the newer duplicates of one that stays. Whoever commits last sees the other, whichever is the older: those
    which looked before this memory was committed have to be consolidated again.

    Merges exclude each other: two that share a memory, or the partner of an association, would otherwise wait for
    each other in both directions. They are rare, and a search that finds nothing waits for nobody.
    """
    newer = await consolidate_all(session, consolidation, {memory_id: at})
    return newer[memory_id]


async def consolidate_all(
    session: Session, consolidation: Consolidation, moments: Mapping[UUID, datetime]
) -> dict[UUID, tuple[UUID, ...]]:
    """Does what `consolidate` does for each memory at its moment, with one look at all of them.

    Raises `SeveralMerges` before it has written anything: each merge locks two rows in the order of their ids, and the
    rows of two in one transaction would be in no order that others could share. Most memories have none.
    """
    found = await _duplicates(session, consolidation, list(moments))
    if sum(duplicates.older is not None for duplicates in found.values()) > 1:
        raise SeveralMerges
    return {
        memory_id: found[memory_id].newer
        if found[memory_id].older is None
        else await _merged(session, consolidation, memory_id, at)
        for memory_id, at in moments.items()
    }


async def _merged(session: Session, consolidation: Consolidation, memory_id: UUID, at: datetime) -> tuple[UUID, ...]:
    """Looks again, since others may have merged before, and now wait."""
    await session.fetch(EXCLUDE_OTHERS)
    duplicates = Duplicates()
    while survivor := (duplicates := (await _duplicates(session, consolidation, [memory_id]))[memory_id]).older:
        rows = await _locked(session, *sorted((memory_id, survivor.memory_id)))
        if rows:
            await _merge(session, rows[memory_id], survivor.memory_id, survivor.similarity, at)
    return duplicates.newer


class OneIsTaken(Exception):
    """Another has a row of the two, or it is gone."""


async def _locked(session: Session, first: UUID, second: UUID) -> dict[UUID, Row]:
    """Both rows; none where one is no longer live.

    It waits for one while it holds neither, since a client of its own may have them in the other order.
    """
    for memory_id, other_id in cycle(((first, second), (second, first))):
        with suppress(OneIsTaken):
            async with session.transaction():
                rows = await session.fetch(LOCK, memory_id)
                if not rows:
                    break
                others = await session.fetch(LOCK_IF_FREE, other_id)
                if not others:
                    raise OneIsTaken
                return {row["id"]: row for row in (*rows, *others)}
    return {}


async def survivors(session: Session, memory_ids: Sequence[UUID]) -> list[UUID]:
    """Where the memories went by now; none of them is merged until the transaction ends."""
    await session.fetch(EXCLUDE_MERGES)
    return [row["id"] for row in await session.fetch(SURVIVORS, memory_ids)]


async def _duplicates(
    session: Session, consolidation: Consolidation, memory_ids: Sequence[UUID]
) -> dict[UUID, Duplicates]:
    """A memory that is gone has none."""
    return dict.fromkeys(memory_ids, Duplicates()) | await consolidation.match_written(session, memory_ids)


async def _merge(session: Session, newer: Row, survivor_id: UUID, similarity: float, at: datetime) -> None:
    """The newer row is retired first: only a live memory may hold its content."""
    await session.execute(RETIRE, newer["id"], at, survivor_id)
    await store.absorb(
        session,
        survivor_id,
        content=newer["content"],
        similarity=similarity,
        was_catalyst=newer["is_catalyst"],
        at=at,
        earlier_variants=newer["variants"],
    )
    await session.execute(MOVE_ASSOCIATIONS, newer["id"], survivor_id, at)
