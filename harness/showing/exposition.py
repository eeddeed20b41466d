"""Tells what a run has measured until now, in the text format that Prometheus and OpenTelemetry's collector read."""

import math
from collections.abc import Iterable

from harness.record import RunRecord
from harness.showing.summary import OperationSummary, summarise
from harness.showing.tables import printable


def exposition(record: RunRecord) -> str:
    """Seconds and counts by run, variant and operation; a quantile that falls among failures is +Inf."""
    measured = [each for each in summarise(record).operations if each.texts == "all"]
    return "".join(f"{line}\n" for line in _lines(printable(record.run_id), measured))


def _lines(run_id: str, measured: Iterable[OperationSummary]) -> Iterable[str]:
    found = [(_labels(run_id, each), each) for each in measured]
    yield "# HELP harness_requests_total Requests that were measured."
    yield "# TYPE harness_requests_total counter"
    yield from (f"harness_requests_total{{{labels}}} {each.requests}" for labels, each in found)
    yield "# HELP harness_errors_total Requests that failed."
    yield "# TYPE harness_errors_total counter"
    yield from (f"harness_errors_total{{{labels}}} {each.errors}" for labels, each in found)
    yield "# HELP harness_latency_seconds Latency of the requests until now."
    yield "# TYPE harness_latency_seconds gauge"
    for labels, each in found:
        for name, quantile in (("0.5", each.p50), ("0.95", each.p95)):
            value = "+Inf" if math.isinf(quantile.value_s) else f"{quantile.value_s:.9g}"
            yield f'harness_latency_seconds{{{labels},quantile="{name}"}} {value}'


def _labels(run_id: str, operation: OperationSummary) -> str:
    named = {"run": run_id, "variant": operation.variant, "operation": operation.operation}
    return ",".join(f'{name}="{_escaped(text)}"' for name, text in named.items())


def _escaped(text: str) -> str:
    return printable(text).replace("\\", r"\\").replace('"', r"\"")
