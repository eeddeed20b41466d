"""The axis of how the memories for a new conversation are loaded."""

from typing import Final, Protocol

from anima.database import Session
from anima.model import Bootstrap, BootstrapRequest

MOST_RECENT: Final = "last_accessed DESC, id"
MOST_RESONANT: Final = "resonance_phi DESC, access_count DESC, last_accessed DESC, id"


def bound(request: BootstrapRequest) -> tuple[object, ...]:
    """The limit, whether active memories are asked for and how many, and whether the other tiers are."""
    return (
        request.limit,
        request.include_active,
        request.active_limit,
        request.include_thread,
        request.include_stable,
    )


class BootstrapLoader(Protocol):
    """Active by recency, then thread and stable by phi, access count and recency in what the limit leaves.

    Reads only. The final tie-break everywhere is the id.
    """

    async def load(self, session: Session, request: BootstrapRequest) -> Bootstrap: ...
