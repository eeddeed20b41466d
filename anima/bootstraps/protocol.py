"""The axis of how the memories for a new conversation are loaded."""

from typing import Protocol

from anima.database import Session
from anima.model import Bootstrap, BootstrapRequest


class BootstrapLoader(Protocol):
    """Active by recency, then thread and stable by phi, access count and recency in what the limit leaves.

    Reads only. The final tie-break everywhere is the id.
    """

    async def load(self, session: Session, request: BootstrapRequest) -> Bootstrap: ...
