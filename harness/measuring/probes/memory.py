"""Memory of the load generator, and what the machine has left: a machine that swaps measures its disk."""

from collections.abc import Mapping

import psutil

from harness.measuring.probes.protocol import CountedSpan, Observable


class MemoryUse:
    span: CountedSpan = "whole"
    is_level: bool = True
    counters: Mapping[str, str] = {
        "client_memory_bytes": "resident memory of the load generator's process when the phase is over",
        "host_memory_available_bytes": "memory that the machine can still give out then",
    }

    async def read(self, observable: Observable) -> Mapping[str, float]:
        del observable
        return {
            "client_memory_bytes": float(psutil.Process().memory_info().rss),
            "host_memory_available_bytes": float(psutil.virtual_memory().available),
        }
