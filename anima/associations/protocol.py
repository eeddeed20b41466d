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
