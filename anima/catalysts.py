"""Catalyst detection: records why a memory may be one, and leaves the decision to a person."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
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
COUNT_CURRENT_ACCESSES: Final = Statement(
    "catalyst.count_accesses",
    "SELECT count(*) AS accesses FROM current_access_log WHERE memory_id = $1 AND accessed_at > $2",
)
COUNT_ASSOCIATIONS: Final = Statement(
    "catalyst.count_associations",
    "SELECT count(*) AS associations FROM memory_associations WHERE memory_a_id = $1 OR memory_b_id = $1",
)
# Its own pairs by index, and the few recalls that are not folded.
COUNT_CURRENT_ASSOCIATIONS: Final = Statement(
    "catalyst.count_associations",
    """
    SELECT count(*) AS associations FROM (
        SELECT memory_b_id FROM memory_associations WHERE memory_a_id = $1
        UNION
        SELECT memory_a_id FROM memory_associations WHERE memory_b_id = $1
        UNION
        SELECT other_id FROM memory_recalls, unnest(memory_ids) AS other_id
        WHERE conversation_id IS NOT NULL AND $1 = ANY(memory_ids) AND other_id <> $1
    ) AS associated
    """,
)
RECORD: Final = Statement(
    "catalyst.record",
    """
    UPDATE memories
    SET metadata = jsonb_set(metadata, '{potential_catalyst}', $2::jsonb), updated_at = $3
    WHERE id = $1 AND deleted_at IS NULL AND NOT is_catalyst
    """,
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where accesses and associations are counted: by an index, never by reading all memories."""

    accesses: Statement
    associations: Statement


IN_TABLES: Final = Evidence(COUNT_ACCESSES, COUNT_ASSOCIATIONS)
WITH_UNFOLDED: Final = Evidence(COUNT_CURRENT_ACCESSES, COUNT_CURRENT_ASSOCIATIONS)


def content_markers(content: str) -> list[str]:
    folded = content.casefold()
    return [marker for marker in CATALYST_MARKERS if marker in folded]


def reasons(content: str, accesses: int, associations: int) -> list[str]:
    """Says what speaks for a catalyst: accesses are those of the last ten minutes."""
    found = [f"{accesses} accesses in 10 minutes"] if accesses >= RAPID_ACCESSES else []
    found += [f"{associations} associations"] if associations >= MANY_ASSOCIATIONS else []
    return found + [f"content says {marker!r}" for marker in content_markers(content)]


async def detect(session: Session, memory_id: UUID, at: datetime, evidence: Evidence = IN_TABLES) -> None:
    """Records the reasons under `metadata.potential_catalyst`; none for a catalyst or a memory that is gone."""
    row = await session.fetch_row(READ, memory_id)
    if row is None:
        return
    accesses = await session.fetch_row(evidence.accesses, memory_id, at - RAPID_ACCESS_WINDOW)
    associations = await session.fetch_row(evidence.associations, memory_id)
    assert accesses is not None, "an aggregate always gives a row"
    assert associations is not None, "an aggregate always gives a row"
    if found := reasons(row["content"], accesses["accesses"], associations["associations"]):
        await session.execute(RECORD, memory_id, to_json({"detected_at": at, "reasons": found}).decode(), at)
