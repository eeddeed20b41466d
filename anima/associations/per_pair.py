"""One upsert per pair, each awaited in turn: 190 for 20 memories."""

from typing import Final

from anima.associations.protocol import INSERT_PAIRS, ONCE, ONCE_MORE, CoOccurrence
from anima.database import Session, Statement

RECORD: Final = Statement("association.record", f"{INSERT_PAIRS} VALUES ($1, $2, {ONCE}) {ONCE_MORE}")


class PerPairAssociations:
    async def record(self, session: Session, co_occurrence: CoOccurrence) -> None:
        for smaller, larger in co_occurrence.pairs():
            await session.execute(RECORD, smaller, larger, co_occurrence.conversation_id, co_occurrence.at)
