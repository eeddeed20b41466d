"""Records accesses in the narrow table of what changes often; the log of accesses is folded later."""

from typing import Final

from anima.access_records.protocol import Access
from anima.database import Session, Statement
from anima.model import Promotion, Tier

RECORD: Final = Statement(
    "access.record",
    """
    SELECT memory_id, from_tier, to_tier FROM record_accesses($1, $2, $3, false)
    WHERE to_tier IS NOT NULL
    ORDER BY memory_id
    """,
)


class ApartAccessRecords:
    async def record(self, session: Session, access: Access) -> tuple[Promotion, ...]:
        rows = await session.fetch(RECORD, access.memory_ids, access.conversation_id, access.at)
        return tuple(Promotion(row["memory_id"], Tier(row["from_tier"]), Tier(row["to_tier"])) for row in rows)
