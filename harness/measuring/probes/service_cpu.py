"""Processor time of a service that the run has started, whatever it has started itself included."""

from collections.abc import Mapping

from harness.measuring.probes.protocol import CountedSpan, NotObserved, Observable


class ServiceCpu:
    span: CountedSpan = "whole"
    is_level: bool = False
    counters: Mapping[str, str] = {
        "service_cpu_s": "processor seconds of the processes of a service that the run started"
    }

    async def read(self, observable: Observable) -> Mapping[str, float]:
        cpu_s = await observable.service_cpu_s()
        if cpu_s is None:
            raise NotObserved("the run has started no service, or its processes cannot be seen from here")
        return {"service_cpu_s": cpu_s}
