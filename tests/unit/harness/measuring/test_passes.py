"""A pass whose phases are cut into slices, on a clock that a test moves."""

import time
from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from harness.journal import Entries
from harness.measuring import scenario_files
from harness.measuring.driving import LocalWorker
from harness.measuring.heartbeat import ComparedClocks, Heartbeat
from harness.measuring.operations import Request
from harness.measuring.passes import Pass, Surroundings, measure, phase_of_all
from harness.measuring.progress import Silent
from harness.measuring.targets.null import OpenNull
from harness.measuring.targets.protocol import Response
from harness.record import PhaseRecord
from harness.samples import SAMPLES, Sample
from tests.clocks import ManualClock

REQUEST_S = 0.1
DRAIN_S = 5.0
OTHER_TURNS_S = 30.0


class Noted(Entries):
    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.phases: list[PhaseRecord] = []

    def write(self, kind: str, entry: Mapping[str, Any]) -> None:
        told = {key: value for key, value in entry.items() if key != "variant"}
        match kind:
            case "sample":
                self.samples.append(SAMPLES.validate_python(told))
            case "phase":
                self.phases.append(PhaseRecord.model_validate(told))
            case _:
                assert kind == "variant_end"


class Slow(OpenNull):
    """Takes its time for requests, and more for the background work that they leave behind."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    async def perform(self, request: Request) -> Response:
        await self._clock.sleep(REQUEST_S)
        return await super().perform(request)

    async def drain(self) -> None:
        await self._clock.sleep(DRAIN_S)


class OtherTurns(Surroundings):
    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    async def turn(self) -> None:
        await self._clock.sleep(OTHER_TURNS_S)


async def measured(*, requests: int, slices: int) -> Noted:
    clock, noted = ManualClock(), Noted()
    phase = f'{{workload="query",requests={requests},time_s=60,arrival={{kind="closed_loop",users=1}}}}'
    chosen = scenario_files.load_scenario(
        "smoke",
        settings=[
            *('target="null"', "strategies=['null']", 'baseline="null"', 'candidate="null"', "budgets=[]"),
            *("corpus.size=50", f"phases=[{phase}]", f"slices={slices}"),
        ],
    )

    pass_ = Pass(chosen, "null", 1, noted, Silent(), OtherTurns(clock), clock)
    worker = LocalWorker(pass_, chosen.workload_of(1), Slow(clock))
    await measure(pass_, [worker])
    return noted


@pytest.mark.parametrize(("requests", "slices"), [(6, 3), (7, 3), (2, 5), (4, 1)])
async def test_slices_follow_each_other_as_if_there_were_nothing_between(requests: int, slices: int) -> None:
    noted = await measured(requests=requests, slices=slices)
    assert [sample.started_s for sample in noted.samples] == pytest.approx(
        [number * REQUEST_S for number in range(requests)]
    )
    (phase,) = noted.phases
    assert (phase.planned, phase.started) == (None, requests)
    assert phase.ended_s - phase.started_s == pytest.approx(requests * REQUEST_S)


async def test_a_wall_clock_that_is_set_during_a_run_changes_no_latency_and_is_recorded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes back by an hour whenever anybody looks at it."""
    moments = count(1_800_000_000, -3600)
    monkeypatch.setattr("time.time", lambda: float(next(moments)))
    monkeypatch.setattr("time.time_ns", lambda: next(moments) * 10**9)
    clocks = ComparedClocks(now=lambda: 0.0, boot=lambda: 0.0, wall=time.time)
    monkeypatch.setattr("harness.measuring.driving.Heartbeat", lambda: Heartbeat(clocks))
    noted = await measured(requests=6, slices=1)
    assert [sample.latency_s for sample in noted.samples] == pytest.approx([REQUEST_S] * 6)
    (phase,) = noted.phases
    assert phase.counters["wall_clock_step_s"] <= -3600
    assert phase.counters["generator_stopped_s"] == phase.counters["machine_asleep_s"] == 0.0


def test_what_one_of_several_workers_could_not_count_is_not_counted() -> None:
    told = PhaseRecord(
        name="mix",
        workload="mix",
        round=1,
        arrival="closed_loop",
        loop="closed",
        started=1,
        started_s=0.0,
        ended_s=1.0,
        counters={"rows_read": 5.0},
    )
    untold = told.model_copy(update={"counters": {}, "uncounted": {"rows_read": "its sessions cannot report"}})
    assert phase_of_all([told, untold]).uncounted == untold.uncounted


class Cooled(Surroundings):
    """Takes long to make the database cold, and ends the sessions with it."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock

    async def cool(self) -> bool:
        await self._clock.sleep(OTHER_TURNS_S)
        return True


class Reopened(Slow):
    reconnected = 0

    async def reconnect(self) -> None:
        self.reconnected += 1
        await self._clock.sleep(DRAIN_S)


async def test_each_cold_request_waits_until_the_database_is_cold_and_is_timed_from_then_on() -> None:
    clock, noted = ManualClock(), Noted()
    phases = """[{workload="query",requests=3,arrival={kind="closed_loop",users=1}},
        {workload="query",cache="cold",requests=4,time_s=600,arrival={kind="closed_loop",users=1}}]"""
    chosen = scenario_files.load_scenario("smoke", settings=["budgets=[]", "corpus.size=50", f"phases={phases}"])
    pass_ = Pass(chosen, "batched", 1, noted, Silent(), Cooled(clock), clock)
    target = Reopened(clock)
    await measure(pass_, [LocalWorker(pass_, chosen.workload_of(1), target)])
    assert target.reconnected == 4
    assert [each.operation for each in noted.samples] == ["query"] * 3 + ["query{cache=cold}"] * 4
    assert [each.latency_s for each in noted.samples] == pytest.approx([REQUEST_S] * 7)
    assert [(each.name, each.workload) for each in noted.phases] == [
        ("query", "query"),
        ("query_cold", "query{cache=cold}"),
    ]
