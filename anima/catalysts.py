"""Catalyst detection: records why a memory may be one, and leaves the decision to a person."""

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
COUNT_ASSOCIATIONS: Final = Statement(
    "catalyst.count_associations",
    "SELECT count(*) AS associations FROM memory_associations WHERE memory_a_id = $1 OR memory_b_id = $1",
)
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
    """What speaks for a catalyst: accesses are those of the last ten minutes."""
    found = [f"{accesses} accesses in 10 minutes"] if accesses >= RAPID_ACCESSES else []
    found += [f"{associations} associations"] if associations >= MANY_ASSOCIATIONS else []
    return found + [f"content says {marker!r}" for marker in content_markers(content)]


async def detect(session: Session, memory_id: UUID, at: datetime) -> None:
    """Records the reasons under `metadata.potential_catalyst`; none for a catalyst or a memory that is gone."""
    row = await session.fetch_row(READ, memory_id)
    if row is None:
        return
    accesses = await session.fetch_row(COUNT_ACCESSES, memory_id, at - RAPID_ACCESS_WINDOW)
    associations = await session.fetch_row(COUNT_ASSOCIATIONS, memory_id)
    assert accesses is not None, "an aggregate always gives a row"
    assert associations is not None, "an aggregate always gives a row"
    if found := reasons(row["content"], accesses["accesses"], associations["associations"]):
        await session.execute(RECORD, memory_id, to_json({"detected_at": at, "reasons": found}).decode(), at)
