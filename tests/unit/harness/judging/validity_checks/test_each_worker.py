"""Each of several workers is judged by itself, and named with its host."""

from typing import Any

import pytest

from harness.errors import ExitCode
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import parse
from harness.judging.verdict import Verdict, judge
from harness.record import PhaseRecord, WorkerRecord
from harness.samples import Sample
from tests.records import phase, record, sample, variant

BUDGETS = [parse("query.p95 <= 1s")]
OPEN: dict[str, Any] = {"loop": "open", "arrival": "constant_rate", "processes": 8}


def worker(number: int, **fields: Any) -> WorkerRecord:
    values: dict[str, Any] = {"started": 100, "planned": 100, "received": 100, "started_s": 0.0, "ended_s": 10.0}
    return WorkerRecord(worker=number, host=f"rack-{number + 1}", clock_ahead_s=0.0, **(values | fields))


def sent(number: int, late_s: float = 0.0) -> list[Sample]:
    """A hundred of each worker, from all over the phase."""
    return [
        sample(
            started_s=0.1 * place + late_s,
            intended_s=0.1 * place,
            service_time_s=0.01,
            phase="steady",
            scheduled=True,
            worker=number,
        )
        for place in range(100)
    ]


def judged(workers: list[WorkerRecord], late_s: dict[int, float] | None = None, **fields: Any) -> Verdict:
    each = [one for part in workers for one in sent(part.worker, (late_s or {}).get(part.worker, 0.0))]
    steady: PhaseRecord = phase("steady", workers=tuple(workers), ended_s=10.0, **(OPEN | fields))
    return judge(record(variant(samples=each, phases=(steady,), in_process=False)), BUDGETS)


def test_eight_hosts_as_they_should_be_are_one_run() -> None:
    verdict = judged([worker(number) for number in range(8)])
    assert (verdict.outcome, verdict.against_timings) == (Outcome.PASS, ())


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"received": 99}, "worker 3 on rack-3 started 100 requests, and 99 samples have come from it in steady of"),
        ({"started": 99, "received": 99}, "worker 3 on rack-3 was to start 100 requests, and started or dropped 99 in"),
        ({"planned": 101}, "worker 3 on rack-3 was to start 101 requests, and started or dropped 100 in"),
    ],
)
def test_parts_that_do_not_add_up_are_no_run(fields: dict[str, Any], said: str) -> None:
    verdict = judged([worker(number, **(fields if number == 2 else {})) for number in range(8)])
    assert (verdict.outcome, verdict.exit_code) == (Outcome.INVALID, ExitCode.INVALID)
    assert verdict.objections[0].startswith(said)
    assert "rack-3" in verdict.sentence


def test_what_was_dropped_at_the_cap_is_accounted_for() -> None:
    parts = [worker(number, **({"started": 98, "received": 98, "dropped": 2} if number else {})) for number in range(2)]
    assert judged(parts).objections == ()


def test_one_late_host_of_two_hundred_is_found_which_the_p99_of_all_would_hide() -> None:
    verdict = judged([worker(number) for number in range(200)], late_s={7: 0.5})
    assert [each.partition(":")[0] for each in verdict.timing_objections] == [
        "the load generator of worker 8 on rack-8 was late in steady of batched"
    ]


def test_one_saturated_worker_of_eight_is_found() -> None:
    busy = [worker(number, counters={"timed_client_cpu_s": 9.5 if number == 4 else 1.0}) for number in range(8)]
    verdict = judged(busy, counters={"timed_client_cpu_s": 16.5})
    assert [each.partition(",")[0] for each in verdict.timing_objections] == [
        "the load generator of worker 5 on rack-5 was saturated in steady of batched"
    ]


def test_one_host_whose_processor_is_given_to_others_is_found() -> None:
    stolen = {"host_steal_s": 3.0, "host_cpu_s": 20.0}
    kept = {"host_steal_s": 0.0, "host_cpu_s": 20.0}
    parts = [worker(number, counters=stolen if number == 1 else kept) for number in range(8)]
    (objection,) = judged(parts, counters=kept).timing_objections
    assert objection.startswith("15% of the processor time of rack-2 was stolen while batched was timed")


@pytest.mark.parametrize(("window", "outcome"), [("1s", Outcome.INVALID), ("5s", Outcome.PASS)])
def test_windows_want_a_clock_that_is_known_to_a_hundredth_of_them(window: str, outcome: Outcome) -> None:
    parts = [worker(number, clock_error_s=0.02 if number == 3 else 0.001) for number in range(8)]
    steady = phase("steady", workers=tuple(parts), ended_s=10.0, **OPEN)
    each = [one for part in parts for one in sent(part.worker)]
    budget = parse(f"query{{window={window}}}.p50 <= 1s")
    (found,) = judge(record(variant(samples=each, phases=(steady,), in_process=False)), [budget]).budgets
    assert found.outcome is outcome
    assert (
        "the clock of rack-4 is known to 20.0 ms in steady, and windows of 1.00 s need 10.0 ms" in found.sentence
    ) is (outcome is Outcome.INVALID)
