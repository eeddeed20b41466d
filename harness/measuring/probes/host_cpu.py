"""Processor time that the host took away from this machine, beside all that there was: the cost of neighbours."""

from collections.abc import Mapping

import psutil

from harness.measuring.probes.protocol import CountedSpan, NotObserved, Observable


class HostCpu:
    span: CountedSpan = "timed"
    is_level: bool = False
    counters: Mapping[str, str] = {
        "host_steal_s": "processor seconds that the hypervisor gave to others while this machine wanted them",
        "host_cpu_s": "processor seconds of the machine, idle ones included",
    }

    async def read(self, observable: Observable) -> Mapping[str, float]:
        del observable
        return host_cpu()


def host_cpu() -> Mapping[str, float]:
    times: Mapping[str, float] = psutil.cpu_times()._asdict()
    if "steal" not in times:
        raise NotObserved("this operating system does not say it")
    # What guests of this machine used is in `user` and `nice` already.
    whole_s = sum(seconds for name, seconds in times.items() if not name.startswith("guest"))
    return {"host_steal_s": times["steal"], "host_cpu_s": whole_s}
