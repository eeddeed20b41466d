"""Says what a budget can name after its dot: the word, and the metric behind it."""

from typing import Final

from harness.judging.budget_metrics.background_failures import BackgroundFailures
from harness.judging.budget_metrics.background_queue import (
    BackgroundQueue,
    drain_s,
    queued_at_end,
    queued_growth_per_s,
)
from harness.judging.budget_metrics.capacity import CapacityMetric
from harness.judging.budget_metrics.errors import Errors
from harness.judging.budget_metrics.hit_rate import HitRate
from harness.judging.budget_metrics.latency_max import LatencyMax
from harness.judging.budget_metrics.latency_mean import LatencyMean
from harness.judging.budget_metrics.latency_quantile import LatencyQuantile
from harness.judging.budget_metrics.memory_growth import MemoryGrowth
from harness.judging.budget_metrics.per_operation import PerOperation
from harness.judging.budget_metrics.plan_uses import PlanUses
from harness.judging.budget_metrics.pool_refusals import PoolRefusals
from harness.judging.budget_metrics.protocol import BudgetMetric
from harness.judging.budget_metrics.proven import Proven
from harness.judging.budget_metrics.recall import RecallMetric
from harness.judging.budget_metrics.request_count import RequestCount
from harness.judging.budget_metrics.resident_memory import ResidentMemory
from harness.judging.budget_metrics.throughput import Throughput
from harness.judging.budget_metrics.within import Within

METRICS: Final[dict[str, BudgetMetric]] = {
    **{f"p{percent:g}": LatencyQuantile(percent / 100) for percent in (*range(50, 100), 99.5, 99.9)},
    "mean": LatencyMean(),
    "max": LatencyMax(),
    "errors": Errors(),
    "statements": RequestCount("statements", "SQL statements of one request, transaction control excluded."),
    "round_trips": RequestCount("round_trips", "Waits of one request for the database server."),
    "rows": RequestCount("rows", "Rows that the database sent or changed for one request."),
    "throughput": Throughput(),
    "capacity": CapacityMetric(),
    "wal_bytes_per_op": PerOperation(("wal_bytes",), "Bytes that the whole server wrote ahead, for each request."),
    "rows_per_op": PerOperation(
        ("rows_read", "rows_written"), "Rows and index entries that the server read or wrote for each request."
    ),
    "statements_per_op": PerOperation(
        ("sent_statements",),
        "SQL statements that the server was sent for each request, whoever sent them, transaction control excluded.",
        in_some=True,
    ),
    "blocks_per_op": PerOperation(
        ("blocks_read", "blocks_hit"), "Blocks of the database that the server asked for, for each request."
    ),
    "temp_bytes_per_op": PerOperation(
        ("temporary_bytes",), "Bytes of temporary files that the server wrote, for each request."
    ),
    "temp_files_per_op": PerOperation(
        ("temporary_files",),
        "Temporary files that the server wrote since a sort or hash outgrew its work_mem, for each request.",
    ),
    "client_cpu_ms_per_op": PerOperation(
        ("client_cpu_s",),
        "Processor milliseconds of the load generator's process for each request.",
        factor=1000,
        timed="always",
    ),
    "service_cpu_ms_per_op": PerOperation(
        ("service_cpu_s",),
        "Processor milliseconds of a service over HTTP that the run started, for each request.",
        factor=1000,
        timed="always",
    ),
    "server_cpu_ms_per_op": PerOperation(
        ("server_cpu_s",),
        "Processor milliseconds of the database server for each request.",
        factor=1000,
        timed="always",
    ),
    "background_queued_at_end": BackgroundQueue(
        queued_at_end, "count", "Pieces of background work that were accepted and not done when the phase ended."
    ),
    "background_queued_growth": BackgroundQueue(
        queued_growth_per_s, "rate", "By how many pieces the background queue grew in each second of the phase."
    ),
    "background_drain": BackgroundQueue(
        drain_s, "time", "How long the background work that the phase had left behind went on after it."
    ),
    "service_rss_bytes": ResidentMemory(
        "service_memory_bytes", "Resident memory of a service over HTTP that the run started, when the phase is over."
    ),
    "client_rss_bytes": ResidentMemory(
        "client_memory_bytes", "Resident memory of the load generator's process when the phase is over."
    ),
    "client_growth_bytes_per_op": MemoryGrowth(
        "client_kept_bytes",
        "Bytes that each request leaves allocated in the load generator's process, as far as they grow steadily.",
        "several processes sent its requests, and each has a memory of its own: measure it with one",
    ),
    "service_growth_bytes_per_op": MemoryGrowth(
        "service_memory_bytes",
        "Resident bytes that each request leaves in a service that the run started, as far as they grow steadily.",
        "the run has started no service, or its processes cannot be seen from here",
    ),
    "plan": PlanUses(),
    "recall": RecallMetric(),
    "proven": Proven(),
    "hit_rate": HitRate(),
    "failures": BackgroundFailures(),
    "refusals": PoolRefusals(),
    **{f"within_{time_ms}ms": Within(time_ms / 1000) for time_ms in (100, 150, 200, 250, 300, 400, 500, 1000)},
}
