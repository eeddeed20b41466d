"""The axis of how co-occurrences are recorded."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Final, Protocol
from uuid import UUID

from anima.database import Session

NO_MERGES: Final = "pg_advisory_xact_lock_shared(hashtext('anima.merge'))"
"""Keeps merges away until the transaction ends. Whoever writes several pairs in one needs it: a merge takes the pairs
of two memories, which is no order that others could share."""

INSERT_PAIRS: Final = """
    INSERT INTO memory_associations AS known (
        memory_a_id, memory_b_id, co_occurrence_count, strength, conversation_contexts,
        first_co_occurred_at, last_co_occurred_at, created_at, updated_at
    )
"""


def strength_of(count: str) -> str:
    """The strength of a pair that has co-occurred so many times: log10(1 + count) / 10."""
    return f"log((1 + {count})::double precision) / 10"


ONCE: Final = f"1, {strength_of('1')}, ARRAY[$3::text], $4, $4, $4, $4"
"""The columns behind a pair that is new: `$3` is the conversation, `$4` the time."""

ONCE_MORE: Final = f"""
    ON CONFLICT (memory_a_id, memory_b_id) DO UPDATE
    SET co_occurrence_count = known.co_occurrence_count + 1,
        strength = {strength_of("1 + known.co_occurrence_count")},
        conversation_contexts = CASE
            WHEN $3 = ANY(known.conversation_contexts) THEN known.conversation_contexts
            ELSE known.conversation_contexts || $3
        END,
        last_co_occurred_at = $4,
        updated_at = $4
"""  # noqa: S608 -- only the formula is put in
"""What becomes of a pair that is known."""


@dataclass(frozen=True, slots=True)
class CoOccurrence:
    """Memories that one query of a conversation returned, in any order, repeats allowed."""

    memory_ids: Sequence[UUID]
    conversation_id: str
    at: datetime

    def pairs(self) -> list[tuple[UUID, UUID]]:
        """Every unordered pair once, the smaller id first, sorted: n memories give n (n - 1) / 2."""
        return list(combinations(sorted(set(self.memory_ids)), 2))


class Associations(Protocol):
    """Counts each pair once more, with the strength of the new count and the conversation in its context set.

    Pairs are written in the order of their ids, so that concurrent callers cannot deadlock.
    """

    async def record(self, session: Session, co_occurrence: CoOccurrence) -> None: ...
