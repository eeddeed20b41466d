"""Notes which memories a query returned, as one row; the pairs are folded later, many queries at once."""

from typing import Final

from anima.associations.protocol import CoOccurrence
from anima.database import Session, Statement

RECORD: Final = Statement(
    "association.log",
    "INSERT INTO memory_recalls (at, memory_ids, conversation_id, is_access) VALUES ($1, $2, $3, false)",
)


class LoggedAssociations:
    async def record(self, session: Session, co_occurrence: CoOccurrence) -> None:
        memory_ids = sorted(set(co_occurrence.memory_ids))
        if len(memory_ids) > 1:
            await session.execute(RECORD, co_occurrence.at, memory_ids, co_occurrence.conversation_id)
