"""Catalyst detection: records why a memory may be one, and leaves the decision to a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID

from pydantic_core import to_json

from anima.database import Session, Statement
from anima.model import CATALYST_MARKERS, MANY_ASSOCIATIONS, RAPID_ACCESS_WINDOW, RAPID_ACCESSES

READ: Final = Statement(
    "catalyst.read", "SELECT content FROM memories WHERE id = $1 AND deleted_at IS NULL AND NOT is_catalyst"
)
COUNT_ACCESSES: Final = Statement(
    "catalyst.count_accesses",
    "SELECT count(*) AS accesses FROM memory_access_log WHERE memory_id = $1 AND accessed_at > $2",
)
COUNT_ASSOCIATIONS: Final = Statement(
    "catalyst.count_associations",
    "SELECT count(*) AS associations FROM memory_associations WHERE memory_a_id = $1 OR memory_b_id = $1",
)


def _evidence(access_log: str, associated: str) -> Statement:
    """What speaks for each of several memories, by an index each, never by reading all memories."""
    return Statement(
        "catalyst.read_evidence",
        f"""
        SELECT m.id, m.content, accesses, associations
        FROM unnest($1::uuid[], $2::timestamptz[]) AS due (id, since),
        LATERAL (
            SELECT id, content FROM memories
            WHERE id = due.id AND deleted_at IS NULL AND NOT is_catalyst
            OFFSET 0  -- keeps the planner from joining all memories
        ) AS m,
        LATERAL (
            SELECT count(*) AS accesses FROM {access_log} WHERE memory_id = m.id AND accessed_at > due.since
        ) AS accessed,
        LATERAL (SELECT count(*) AS associations FROM {associated}) AS associated
        ORDER BY m.id
        """,  # noqa: S608 -- only the two constants below are put in
    )


IN_TABLES: Final = _evidence("memory_access_log", "memory_associations WHERE memory_a_id = m.id OR memory_b_id = m.id")
WITH_UNFOLDED: Final = _evidence(
    "current_access_log",
    """(
        SELECT memory_b_id FROM memory_associations WHERE memory_a_id = m.id
        UNION
        SELECT memory_a_id FROM memory_associations WHERE memory_b_id = m.id
        UNION
        SELECT other_id FROM memory_recalls, unnest(memory_ids) AS other_id
        WHERE conversation_id IS NOT NULL AND m.id = ANY(memory_ids) AND other_id <> m.id
    ) AS pairs""",
)
"""As above, and of what is not folded yet: its own pairs by index, and the few recalls that are left."""

RECORD: Final = Statement(
    "catalyst.record",
    """
    UPDATE memories
    SET metadata = jsonb_set(metadata, '{potential_catalyst}', $2::jsonb), updated_at = $3
    WHERE id = $1 AND deleted_at IS NULL AND NOT is_catalyst
    """,
)


def content_markers(content: str) -> list[str]:
    folded = content.casefold()
    return [marker for marker in CATALYST_MARKERS if marker in folded]


def reasons(content: str, accesses: int, associations: int) -> list[str]:
    """Says what speaks for a catalyst: accesses are those of the last ten minutes."""
    found = [f"{accesses} accesses in 10 minutes"] if accesses >= RAPID_ACCESSES else []
    found += [f"{associations} associations"] if associations >= MANY_ASSOCIATIONS else []
    return found + [f"content says {marker!r}" for marker in content_markers(content)]


class Detection(Protocol):
    """Records the reasons of each memory, at its moment, under `metadata.potential_catalyst`.

    None for a catalyst or a memory that is gone.
    """

    async def detect(self, session: Session, moments: Mapping[UUID, datetime]) -> None: ...


@dataclass(frozen=True, slots=True)
class DetectionAtOnce:
    """Reads what speaks for all of them in one statement."""

    evidence: Statement = IN_TABLES

    async def detect(self, session: Session, moments: Mapping[UUID, datetime]) -> None:
        """Locks the rows that it writes in the order of their ids."""
        since = [at - RAPID_ACCESS_WINDOW for at in moments.values()]
        for row in await session.fetch(self.evidence, list(moments), since):
            found = reasons(row["content"], row["accesses"], row["associations"])
            await _record(session, row["id"], moments[row["id"]], found)


class StepwiseDetection:
    """Reads one after the other, as the system before the fixes did."""

    async def detect(self, session: Session, moments: Mapping[UUID, datetime]) -> None:
        for memory_id, at in moments.items():
            if row := await session.fetch_row(READ, memory_id):
                accesses = await session.fetch_row(COUNT_ACCESSES, memory_id, at - RAPID_ACCESS_WINDOW)
                associations = await session.fetch_row(COUNT_ASSOCIATIONS, memory_id)
                assert accesses is not None, "an aggregate always gives a row"
                assert associations is not None, "an aggregate always gives a row"
                found = reasons(row["content"], accesses["accesses"], associations["associations"])
                await _record(session, memory_id, at, found)


async def _record(session: Session, memory_id: UUID, at: datetime, found: Sequence[str]) -> None:
    if found:
        await session.execute(RECORD, memory_id, to_json({"detected_at": at, "reasons": found}).decode(), at)
