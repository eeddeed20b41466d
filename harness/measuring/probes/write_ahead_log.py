"""Says how much the server writes ahead.

The log is the whole server's: on one that others use, their writes are in it.
"""

from collections.abc import Mapping
from typing import Final

from harness.measuring.probes.protocol import CountedSpan, Observable

READ: Final = "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn AS bytes, wal_fpi AS images FROM pg_stat_wal"


class WriteAheadLog:
    span: CountedSpan = "whole"
    is_level: bool = False
    counters: Mapping[str, str] = {
        "wal_bytes": "bytes written ahead by the whole server, full pages included",
        "wal_full_page_images": "pages written ahead as a whole, each for its first change after a checkpoint",
    }

    async def read(self, observable: Observable) -> Mapping[str, float]:
        row = await observable.ask(READ)
        assert row is not None, "pg_stat_wal is one row"
        return {"wal_bytes": float(row["bytes"]), "wal_full_page_images": float(row["images"])}
