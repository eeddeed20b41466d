"""The scenario of one rate: its phases alone, on a schedule; and a whole search, on a clock that a test moves."""

import heapq
from pathlib import Path

import pytest

from harness.errors import UsageError
from harness.journal import open_journal, read
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.capacity import CapacitySearch, judge_capacity
from harness.measuring import scenario_files
from harness.measuring.arrivals.constant_rate import ConstantRateSettings
from harness.measuring.arrivals.poisson import PoissonSettings
from harness.measuring.driving import LocalWorker
from harness.measuring.heartbeat import Heartbeat
from harness.measuring.operations import Request
from harness.measuring.passes import Pass, measure
from harness.measuring.progress import Silent
from harness.measuring.rates import at_rates_of, refuse_unasked
from harness.measuring.recording import header
from harness.measuring.scenario import Scenario
from harness.measuring.targets.null import OpenNull
from harness.measuring.targets.protocol import Response
from harness.record import AskedRate, CapacitySettings
from tests.clocks import ManualClock


def scenario(**phase: object) -> Scenario:
    return scenario_files.parsed(
        {
            "name": "two",
            "target": "sql",
            "budgets": ["find.p95 <= 300ms"],
            "operations": {name: {"sql": "SELECT 1"} for name in ("find", "place")},
            "phases": [{"operation": "find", **(phase or {"requests": 9})}, {"operation": "place", "requests": 9}],
        }
    )


def asked(rate_per_s: float, number: int = 3) -> AskedRate:
    return AskedRate(variant="current", phase="find", round=number, rate_per_s=rate_per_s, time_s=4, purpose="search")


def test_a_closed_loop_becomes_a_schedule_at_equal_distances() -> None:
    [phase] = at_rates_of(scenario(), [asked(25)], None).phases
    assert phase.arrival == ConstantRateSettings(rate_per_s=25, in_flight_max=100)
    assert phase.timed(1) == 100
    assert phase.warm_up >= 20


def test_independent_users_stay_so_and_so_does_how_many_may_wait() -> None:
    stated = PoissonSettings(rate_per_s=1, in_flight_max=7)
    [phase] = at_rates_of(scenario(arrival=stated.model_dump()), [asked(25)], None).phases
    assert phase.arrival == PoissonSettings(rate_per_s=25, in_flight_max=7)
    [phase] = at_rates_of(scenario(arrival=stated.model_dump()), [asked(25)], 9).phases
    assert phase.arrival == PoissonSettings(rate_per_s=25, in_flight_max=9)


def test_each_round_draws_anew_and_the_same_for_every_variant() -> None:
    third, fourth = (at_rates_of(scenario(), [asked(25, number)], None) for number in (3, 4))
    assert third.seed != fourth.seed
    assert third.workload_of(3) == at_rates_of(scenario(), [asked(25, 3)], None).workload_of(3)


def test_a_trace_cannot_be_asked_at_another_rate() -> None:
    trace = scenario()
    sent = trace.phases[0].model_copy(update={"arrival": Traced()})
    with pytest.raises(UsageError, match=r"find sends a trace.*--phase"):
        refuse_unasked(trace.model_copy(update={"phases": (sent,)}), ["find"])


class Traced:
    """An arrival that says itself what is sent."""

    kind = "trace"
    own_requests = ("one",)


class Slots(OpenNull):
    """Two slots, each of which a request takes for 100 ms: 20 requests a second."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._free = [0.0, 0.0]

    async def perform(self, request: Request) -> Response:
        ended = max(self._clock.now(), heapq.heappop(self._free)) + 0.1
        heapq.heappush(self._free, ended)
        await self._clock.until(ended)
        return await super().perform(request)


@pytest.mark.slow
async def test_requests_that_are_sent_and_timed_as_in_any_run_lead_to_the_capacity_that_is_planted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Heartbeat, "counters", {})  # Of the machine's clock, which is not the test's.
    clock, whole, steering = ManualClock(), scenario(), CapacitySearch()
    made_for = CapacitySettings(phases=("find",), time_s=4.0)
    with open_journal(tmp_path / "run") as entries:
        entries.write("run", header(whole, "run", made_for=made_for))
        while rates := steering(read(entries.path))[0]:
            for each in rates:
                entries.rate(each)
            number, at_rates = rates[0].round, at_rates_of(whole, rates, None)
            known = {"name": "current", "round": number, "description": "", "schema_version": 0}
            entries.write("variant", known)
            measured = Pass(at_rates, "current", number, entries, Silent(), clock=clock)
            worker = LocalWorker(measured, at_rates.workload_of(number), Slots(clock))
            await worker.prepare()
            await measure(measured, [worker])
        entries.write("end", {"interruption": None, "aborted_by": None, "elapsed_s": 1.0})
        verdict = judge_capacity(read(entries.path))
    assert verdict.outcome is Outcome.PASS, verdict.sentence
    [found] = verdict.capacities
    assert found.lower_per_s == pytest.approx(20, rel=0.05)
    assert found.upper_per_s == pytest.approx(20, rel=0.05)
