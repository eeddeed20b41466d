"""Says how many sessions there are with the variant's database: a small pool has fewer than there are users."""

from collections.abc import Mapping
from typing import Final

from harness.measuring.probes.protocol import CountedSpan, NotObserved, Observable

READ: Final = """
SELECT count(*) AS database_sessions
  FROM pg_stat_activity
 WHERE datname = $1 AND backend_type = 'client backend'
"""


class DatabaseSessions:
    span: CountedSpan = "whole"
    is_level: bool = True
    counters: Mapping[str, str] = {"database_sessions": "sessions with the database when the phase is over"}

    async def read(self, observable: Observable) -> Mapping[str, float]:
        row = await observable.ask(READ, observable.database)
        if row is None:
            raise NotObserved("the server did not say it")
        return {"database_sessions": float(row["database_sessions"])}
