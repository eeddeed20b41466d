"""Consolidation switched off: nothing is a semantic duplicate, and no statement runs."""

from anima.consolidations.protocol import Candidate, SemanticMatch
from anima.database import Session


class NoConsolidation:
    async def match(self, session: Session, candidate: Candidate) -> SemanticMatch | None:
        del session, candidate
        return None
