"""One query per tier, each awaited in turn."""

from typing import Final

from anima.bootstraps.protocol import MOST_RECENT, MOST_RESONANT
from anima.database import Session, Statement
from anima.model import Bootstrap, BootstrapRequest, Memory, Tier, bootstrap_shares
from anima.rows import COLUMNS, memory_from

ACTIVE: Final = Statement(
    "bootstrap.active",
    f"""
    SELECT {COLUMNS} FROM memories
    WHERE deleted_at IS NULL AND tier = 'active'
    ORDER BY {MOST_RECENT}
    LIMIT $1
    """,  # noqa: S608 -- only constants are put in
    reads=True,
)
BY_PHI: Final = Statement(
    "bootstrap.by_phi",
    f"""
    SELECT {COLUMNS} FROM memories
    WHERE deleted_at IS NULL AND tier = $1
    ORDER BY {MOST_RESONANT}
    LIMIT $2
    """,  # noqa: S608 -- only constants are put in
    reads=True,
)


class ThreeQueriesBootstrap:
    async def load(self, session: Session, request: BootstrapRequest) -> Bootstrap:
        active: tuple[Memory, ...] = ()
        if request.include_active:
            active = tuple(map(memory_from, await session.fetch(ACTIVE, request.active_limit)))
        thread_limit, stable_limit = bootstrap_shares(request.limit, len(active))
        return Bootstrap(
            active=active,
            thread=await self._by_phi(session, Tier.THREAD, thread_limit if request.include_thread else 0),
            stable=await self._by_phi(session, Tier.STABLE, stable_limit if request.include_stable else 0),
        )

    async def _by_phi(self, session: Session, tier: Tier, limit: int) -> tuple[Memory, ...]:
        return tuple(map(memory_from, await session.fetch(BY_PHI, tier, limit)))
