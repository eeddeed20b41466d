"""Consolidation switched off: nothing is a semantic duplicate, and no statement runs."""

from anima.consolidations.protocol import Candidate, Duplicates
from anima.database import Session


class NoConsolidation:
    async def match(self, session: Session, candidate: Candidate) -> Duplicates:
        del session, candidate
        return Duplicates()
