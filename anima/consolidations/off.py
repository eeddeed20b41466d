"""Consolidation switched off: nothing is a semantic duplicate, and no statement runs."""

from collections.abc import Sequence
from uuid import UUID

from anima.consolidations.protocol import Candidate, Duplicates
from anima.database import Session


class NoConsolidation:
    async def match(self, session: Session, candidate: Candidate) -> Duplicates:
        del session, candidate
        return Duplicates()

    async def match_written(self, session: Session, memory_ids: Sequence[UUID]) -> dict[UUID, Duplicates]:
        del session, memory_ids
        return {}
