"""The axis of how the memories for a new conversation are loaded."""

from collections.abc import Callable
from typing import Final, Protocol

from anima.database import Session
from anima.model import Bootstrap, BootstrapRequest, Tier

MOST_RECENT: Final = "last_accessed DESC, id"
MOST_RESONANT: Final = "resonance_phi DESC, access_count DESC, last_accessed DESC, id"


def tiers_of(first: Callable[[Tier, str, str, str], str]) -> str:
    """The tiers as parts of one statement, to which `bound` is bound.

    `first` writes the first memories of a tier: under which condition, in which order, and how many.
    """
    return f"""
    active AS MATERIALIZED ({first(Tier.ACTIVE, "$2", MOST_RECENT, "$3")}),
    remaining (memories) AS (
        SELECT greatest(0, $1::bigint - count(*)) FROM active
    ),
    thread AS ({first(Tier.THREAD, "$4", MOST_RESONANT, "(SELECT (7 * memories + 9) / 10 FROM remaining)")}),
    stable AS ({first(Tier.STABLE, "$5", MOST_RESONANT, "(SELECT 3 * memories / 10 FROM remaining)")}),
    chosen AS (SELECT * FROM active UNION ALL SELECT * FROM thread UNION ALL SELECT * FROM stable)
    """  # noqa: S608 -- only constants of the axis are put in


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
