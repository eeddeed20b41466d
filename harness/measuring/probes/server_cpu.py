"""Processor time of all of the database server's processes, those that have ended since included."""

from collections.abc import Mapping

from harness.measuring.probes.protocol import CountedSpan, NotObserved, Observable


class ServerCpu:
    span: CountedSpan = "whole"
    is_level: bool = False
    counters: Mapping[str, str] = {"server_cpu_s": "processor seconds of the database server's processes"}

    async def read(self, observable: Observable) -> Mapping[str, float]:
        cpu_s = await observable.server_cpu_s()
        if cpu_s is None:
            raise NotObserved("the server's processes cannot be seen from here")
        return {"server_cpu_s": cpu_s}
