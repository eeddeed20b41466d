"""Says what is observed around a phase, by name; and `statements`, which counts within each request."""

from typing import Final

from harness.measuring.probes.client_cpu import ClientCpu
from harness.measuring.probes.cpu_quota import CpuQuota
from harness.measuring.probes.database_counters import DatabaseCounters
from harness.measuring.probes.database_sessions import DatabaseSessions
from harness.measuring.probes.database_traffic import DatabaseTraffic
from harness.measuring.probes.host_cpu import HostCpu
from harness.measuring.probes.memory import MemoryUse
from harness.measuring.probes.protocol import Probe
from harness.measuring.probes.server_cpu import ServerCpu
from harness.measuring.probes.server_errors import ServerErrors
from harness.measuring.probes.service_cpu import ServiceCpu
from harness.measuring.probes.service_memory import ServiceMemory
from harness.measuring.probes.write_ahead_log import WriteAheadLog

PROBES: Final[dict[str, Probe]] = {
    "timed_client_cpu": ClientCpu("timed_client_cpu_s", "timed"),
    "client_cpu": ClientCpu("client_cpu_s", "whole"),
    "service_cpu": ServiceCpu(),
    "server_cpu": ServerCpu(),
    "write_ahead_log": WriteAheadLog(),
    "database_counters": DatabaseCounters(),
    "server_errors": ServerErrors(),
    "host_cpu": HostCpu(),
    "cpu_quota": CpuQuota(),
    "memory": MemoryUse(),
    "service_memory": ServiceMemory(),
    "database_traffic": DatabaseTraffic(),
    "database_sessions": DatabaseSessions(),
}
"""In the order in which they are read after a span, and backwards before it: so the harness's own processor time has
little of the readings in it.
"""
