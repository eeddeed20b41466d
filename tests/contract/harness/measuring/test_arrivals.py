"""The contract of arrivals/protocol.py, for every kind in the registry, on a clock that the test moves."""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pytest

from harness.measuring.arrivals import ARRIVALS
from harness.measuring.arrivals.protocol import WHOLE, Arrival, ArrivalSettings, PhaseBounds, Share
from harness.measuring.draws import Draws
from harness.measuring.operations import Request
from tests.clocks import ManualClock

TRACE: Final = [{"offset_s": at, "operation": "query", "arguments": {}} for at in (3.0, 3.5, 3.5, 6.0, 9.5)]

# Settings and bounds of each kind; the path of the trace is known when the test runs.
EXAMPLES: Final[dict[str, tuple[dict[str, Any], PhaseBounds]]] = {
    "closed_loop": ({"kind": "closed_loop", "users": 3}, PhaseBounds(requests=40, time_s=10)),
    "closed_loop-thinking": (
        {"kind": "closed_loop", "users": 3, "think_time_s": 0.5, "think_time": "exponential"},
        PhaseBounds(requests=9),
    ),
    "constant_rate": ({"kind": "constant_rate", "rate_per_s": 4}, PhaseBounds(time_s=5)),
    "poisson": ({"kind": "poisson", "rate_per_s": 4}, PhaseBounds(time_s=5)),
    "stages-users": (
        {"kind": "stages", "stages": [{"time_s": 6, "users": 3}, {"time_s": 2, "users": 3}, {"time_s": 4, "users": 0}]},
        PhaseBounds(requests=40),
    ),
    "stages-rate": (
        {"kind": "stages", "stages": [{"time_s": 6, "rate_per_s": 3}, {"time_s": 4, "rate_per_s": 0}]},
        PhaseBounds(),
    ),
    "trace": ({"kind": "trace", "speed": 2}, PhaseBounds(warm_up=1)),
}
ENOUGH: Final = tuple(Request("query", {"number": number}) for number in range(60))


@dataclass
class Driven:
    """What an arrival did with requests that each take `service_time_s`."""

    clock: ManualClock
    service_time_s: float
    issued: list[object] = field(default_factory=list[object])
    intended: list[float] = field(default_factory=list[float])
    in_flight: int = 0
    in_flight_max: int = 0
    answered: int = 0

    async def issue(self, request: Request, intended: float) -> None:
        self.issued.append(request.arguments["number"])
        self.intended.append(intended)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight, self.in_flight_max)
        await self.clock.sleep(self.service_time_s)
        self.in_flight -= 1
        self.answered += 1


async def drive(arrival: Arrival, service_time_s: float = 0.25, requests: int = len(ENOUGH)) -> tuple[Driven, int]:
    driven = Driven(ManualClock(), service_time_s)
    dropped = await arrival.drive(ENOUGH[:requests], driven.issue, driven.clock)
    return driven, dropped


def streams(purpose: str) -> Draws:
    return Draws(1, purpose)


@dataclass(frozen=True)
class Example:
    settings: ArrivalSettings
    bounds: PhaseBounds

    def open(self) -> Arrival:
        return self.settings.open(self.bounds, streams)

    @property
    def duration_s(self) -> float:
        return self.settings.duration_s(self.bounds)


@pytest.fixture(params=EXAMPLES)
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Example:
    keys, bounds = EXAMPLES[request.param]
    if keys["kind"] == "trace":
        path = tmp_path / "trace.jsonl"
        path.write_text("".join(json.dumps(line) + "\n" for line in TRACE), encoding="utf-8")
        keys = {**keys, "path": path}
    settings = ARRIVALS[keys["kind"]].model_validate(keys)
    settings.check(bounds)
    return Example(settings, bounds)


def test_every_kind_has_an_example() -> None:
    assert {keys["kind"] for keys, _ in EXAMPLES.values()} == set(ARRIVALS)


def test_a_kind_is_named_as_in_the_registry(example: Example) -> None:
    assert isinstance(example.settings, ARRIVALS[example.settings.kind])


def test_what_a_record_keeps_of_it_can_be_followed_again(example: Example) -> None:
    """A worker is told the scenario as it is recorded."""
    dumped = example.settings.model_dump(mode="json")
    assert ARRIVALS[example.settings.kind].model_validate(dumped) == example.settings


async def test_every_request_is_issued_at_most_once_and_in_order(example: Example) -> None:
    driven, _ = await drive(example.open())
    assert driven.issued == list(range(len(driven.issued)))
    assert driven.issued


async def test_requests_that_are_used_up_end_it(example: Example) -> None:
    driven, _ = await drive(example.open(), requests=2)
    assert driven.issued == [0, 1]


async def test_those_in_flight_are_waited_for(example: Example) -> None:
    driven, _ = await drive(example.open(), service_time_s=1_000.0)
    assert driven.answered == len(driven.issued)
    assert driven.clock.now() >= 1_000


async def test_starts_are_meant_for_the_time_of_the_phase(example: Example) -> None:
    driven, _ = await drive(example.open())
    assert driven.intended == sorted(driven.intended)
    assert driven.intended[0] >= 0
    assert driven.intended[-1] <= example.duration_s


async def test_nothing_starts_after_the_end(example: Example) -> None:
    driven, _ = await drive(example.open())
    started = len(driven.issued)
    await driven.clock.sleep(1_000)
    assert len(driven.issued) == started


async def test_the_same_seed_gives_the_same_starts(example: Example) -> None:
    assert (await drive(example.open()))[0].intended == (await drive(example.open()))[0].intended


async def test_an_open_loop_waits_for_no_answer_and_a_closed_one_for_each(example: Example) -> None:
    arrival = example.open()
    quick, _ = await drive(arrival, service_time_s=0.0)
    slow, dropped = await drive(arrival, service_time_s=1_000.0)
    if arrival.loop == "open":
        assert slow.intended == quick.intended
        assert slow.in_flight_max == arrival.starts
        assert dropped == 0
    else:
        assert slow.in_flight_max == len(slow.issued) == arrival.users
        assert arrival.starts is None


async def test_no_more_are_in_flight_than_it_says(example: Example) -> None:
    arrival = example.open()
    driven, _ = await drive(arrival)
    assert driven.in_flight_max <= arrival.side_by_side


async def test_starts_beyond_the_cap_are_dropped_and_counted(example: Example) -> None:
    if "in_flight_max" not in type(example.settings).model_fields or example.open().loop == "closed":
        return
    capped = example.settings.model_copy(update={"in_flight_max": 2}).open(example.bounds, streams)
    driven, dropped = await drive(capped, service_time_s=1_000.0)
    assert (len(driven.issued), driven.in_flight_max) == (2, 2)
    assert len(driven.issued) + dropped == capped.starts


@pytest.mark.parametrize("of", [2, 3, 5])
async def test_the_shares_of_workers_are_the_whole_together(example: Example, of: int) -> None:
    whole = example.open()
    shares = [whole.share(Share(index, of), ENOUGH) for index in range(of)]
    assert sorted(number(each) for _, requests in shares for each in requests) == list(range(len(ENOUGH)))
    assert [number(each) for each in whole.share(WHOLE, ENOUGH)[1]] == list(range(len(ENOUGH)))
    if whole.loop == "open":
        intended = [at for share, _ in shares for at in (await drive(share))[0].intended]
        assert sorted(intended) == (await drive(whole))[0].intended
    else:
        assert sum(share.users or 0 for share, _ in shares) == whole.users
        assert all(requests == [] for share, requests in shares if not share.users)


def number(request: Request) -> int:
    assert isinstance(request.arguments["number"], int)
    return request.arguments["number"]


def test_stages_come_in_order_and_within_the_time(example: Example) -> None:
    starts = [stage.start_s for stage in example.settings.stage_records]
    assert starts == sorted(starts)
    assert all(start_s < example.duration_s for start_s in starts)


def test_the_number_of_requests_is_stated_either_by_the_phase_or_by_the_arrival(example: Example) -> None:
    wrong = replace(example.bounds, requests=None if example.open().loop == "closed" else 5)
    with pytest.raises(ValueError, match="`requests`"):
        example.settings.check(wrong)
