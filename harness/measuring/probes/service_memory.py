"""Memory of a service that the run has started, with the processes that it has started itself."""

from collections.abc import Mapping

from harness.measuring.probes.protocol import CountedSpan, NotObserved, Observable


class ServiceMemory:
    span: CountedSpan = "whole"
    is_level: bool = True
    counters: Mapping[str, str] = {
        "service_memory_bytes": "resident memory of the service's processes when the phase is over"
    }

    async def read(self, observable: Observable) -> Mapping[str, float]:
        memory_bytes = await observable.service_memory_bytes()
        if memory_bytes is None:
            raise NotObserved("the run has started no service, or its processes cannot be seen from here")
        return {"service_memory_bytes": float(memory_bytes)}
