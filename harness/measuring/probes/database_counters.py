"""Rows and blocks that the server touched in the variant's database, as its statistics count them.

Sessions report to the statistics once a second at most, and up to ten seconds late, so the target's are made to before
each reading. Autovacuum's own reading is in it.
"""

from collections.abc import Mapping
from typing import Final

from harness.measuring.probes.protocol import CountedSpan, NotObserved, Observable

READ: Final = """
SELECT tup_returned AS rows_read,
       tup_inserted + tup_updated + tup_deleted AS rows_written,
       blks_read AS blocks_read,
       blks_hit AS blocks_hit,
       temp_bytes AS temporary_bytes,
       temp_files AS temporary_files
  FROM pg_stat_database
 WHERE datname = $1
"""

UNTOLD: Final = "the target's sessions cannot be made to report to the server's statistics"


class DatabaseCounters:
    span: CountedSpan = "whole"
    is_level: bool = False
    counters: Mapping[str, str] = {
        "rows_read": "live rows that scans of tables read, and entries that scans of indexes returned",
        "rows_written": "rows that were inserted, updated or deleted",
        "blocks_read": "blocks asked of the operating system",
        "blocks_hit": "blocks found in the server's own cache",
        "temporary_bytes": "bytes of temporary files",
        "temporary_files": "temporary files, each of a sort or hash that outgrew its work_mem",
    }

    async def read(self, observable: Observable) -> Mapping[str, float]:
        if not await observable.flush():
            raise NotObserved(UNTOLD)
        row = await observable.ask(READ, observable.database)
        if row is None:
            raise NotObserved(f"the server has no statistics of {observable.database}")
        return {name: float(count) for name, count in row.items()}
