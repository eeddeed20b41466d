"""What is observed around a phase, by name; and `statements`, which counts within each request."""

from typing import Final

from harness.probes.client_cpu import ClientCpu
from harness.probes.cpu_quota import CpuQuota
from harness.probes.database_counters import DatabaseCounters
from harness.probes.host_cpu import HostCpu
from harness.probes.memory import Memory
from harness.probes.protocol import Probe
from harness.probes.server_cpu import ServerCpu
from harness.probes.write_ahead_log import WriteAheadLog

PROBES: Final[dict[str, Probe]] = {
    "timed_client_cpu": ClientCpu("timed_client_cpu_s", "timed"),
    "client_cpu": ClientCpu("client_cpu_s", "whole"),
    "server_cpu": ServerCpu(),
    "write_ahead_log": WriteAheadLog(),
    "database_counters": DatabaseCounters(),
    "host_cpu": HostCpu(),
    "cpu_quota": CpuQuota(),
    "memory": Memory(),
}
