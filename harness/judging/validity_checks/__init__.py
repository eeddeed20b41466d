"""Says what makes a run INVALID, by name, in the order in which a reader should hear of it."""

from typing import Final

from harness.judging.validity_checks.drifting_latencies import DriftingLatencies
from harness.judging.validity_checks.exhausted_generator import ExhaustedGenerator
from harness.judging.validity_checks.failed_requests import FailedRequests
from harness.judging.validity_checks.growing_backlog import GrowingBacklog
from harness.judging.validity_checks.late_generator import LateGenerator
from harness.judging.validity_checks.lost_samples import LostSamples
from harness.judging.validity_checks.missed_rate import MissedRate
from harness.judging.validity_checks.partial_run import PartialRun
from harness.judging.validity_checks.protocol import ValidityCheck
from harness.judging.validity_checks.saturated_client import SaturatedClient
from harness.judging.validity_checks.stolen_time import StolenTime
from harness.judging.validity_checks.stopped_generator import StoppedGenerator
from harness.judging.validity_checks.swallowed_errors import SwallowedErrors
from harness.judging.validity_checks.throttled_generator import ThrottledGenerator

VALIDITY_CHECKS: Final[dict[str, ValidityCheck]] = {
    "partial_run": PartialRun(),
    "lost_samples": LostSamples(),
    "failed_requests": FailedRequests(),
    "swallowed_errors": SwallowedErrors(),
    "exhausted_generator": ExhaustedGenerator(),
    "stopped_generator": StoppedGenerator(),
    "throttled_generator": ThrottledGenerator(),
    "missed_rate": MissedRate(),
    "late_generator": LateGenerator(),
    "saturated_client": SaturatedClient(),
    "stolen_time": StolenTime(),
    "drifting_latencies": DriftingLatencies(),
    "growing_backlog": GrowingBacklog(),
}
