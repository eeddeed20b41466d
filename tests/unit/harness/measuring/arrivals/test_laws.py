"""When each kind of arrival means its requests to start."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from harness.measuring.arrivals import ARRIVALS
from harness.measuring.arrivals._shared.schedule import Schedule
from harness.measuring.arrivals._shared.virtual_users import Interval, UserLoop
from harness.measuring.arrivals.protocol import Arrival, PhaseBounds
from harness.measuring.draws import Draws

GUIDE = [  # The guide's load test, fix 9.
    {"time_s": 30, "users": 10},
    {"time_s": 60, "users": 50},
    {"time_s": 120, "users": 50},
    {"time_s": 30, "users": 0},
]


def opened(kind: str, bounds: PhaseBounds, seed: int = 1, **keys: Any) -> Arrival:
    settings = ARRIVALS[kind].model_validate({"kind": kind, **keys})
    settings.check(bounds)
    return settings.open(bounds, lambda purpose: Draws(seed, purpose))


def starts(kind: str, bounds: PhaseBounds, seed: int = 1, **keys: Any) -> list[float]:
    arrival = opened(kind, bounds, seed, **keys)
    assert isinstance(arrival, Schedule)
    return list(arrival.offsets_s)


def intervals(stages: list[dict[str, Any]]) -> list[tuple[Interval, ...]]:
    arrival = opened("stages", PhaseBounds(requests=1), stages=stages)
    assert isinstance(arrival, UserLoop)
    return [user.intervals for user in arrival.members]


@pytest.mark.parametrize(("rate_per_s", "time_s", "expected"), [(2, 2, [0, 0.5, 1, 1.5]), (0.4, 5, [0, 2.5])])
def test_a_constant_rate_has_equal_distances(rate_per_s: float, time_s: float, expected: list[float]) -> None:
    assert starts("constant_rate", PhaseBounds(time_s=time_s), rate_per_s=rate_per_s) == expected


def test_poisson_distances_have_the_mean_and_the_spread_of_an_exponential_law() -> None:
    at = starts("poisson", PhaseBounds(time_s=400), rate_per_s=50)
    gaps = [later - earlier for earlier, later in pairwise(at)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(1 / 50, rel=0.03)
    assert deviation == pytest.approx(mean, rel=0.05)
    assert sum(gap > mean for gap in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.02)
    assert at != starts("poisson", PhaseBounds(time_s=400), seed=2, rate_per_s=50)


def test_a_rate_that_grows_from_nothing_starts_at_the_roots() -> None:
    at = starts("stages", PhaseBounds(), stages=[{"time_s": 8, "rate_per_s": 4}])
    assert at == pytest.approx([(4 * number) ** 0.5 for number in range(16)])


def test_a_jump_takes_no_time() -> None:
    at = starts("stages", PhaseBounds(), stages=[{"time_s": 0, "rate_per_s": 2}, {"time_s": 2, "rate_per_s": 2}])
    assert at == [0, 0.5, 1, 1.5]


def test_the_guides_users_come_and_go_on_straight_lines() -> None:
    users = intervals(GUIDE)
    assert len(users) == 50
    assert all(len(user) == 1 for user in users)
    for number, since, until in [(1, 3.0, 239.4), (10, 30.0, 234.0), (11, 31.5, 233.4), (50, 90.0, 210.0)]:
        assert users[number - 1][0] == pytest.approx((since, until))


def test_users_who_leave_may_come_again_and_stay_to_the_end() -> None:
    stages = [{"time_s": 0, "users": 2}, {"time_s": 4, "users": 0}, {"time_s": 4, "users": 2}]
    assert intervals([*stages, {"time_s": 2, "users": 2}]) == [((0.0, 2.0), (6.0, 10.0)), ((0.0, 0.0), (8.0, 10.0))]


def test_samples_are_told_apart_by_stages_that_know_their_goal() -> None:
    records = ARRIVALS["stages"].model_validate({"kind": "stages", "stages": GUIDE}).stage_records
    assert [(stage.start_s, stage.users, stage.rate_per_s) for stage in records] == [
        (0, 10, None),
        (30, 50, None),
        (90, 50, None),
        (210, 0, None),
    ]


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"stages": []}, "at least 1 item"),
        ({"stages": [{"time_s": 1}]}, "goes to `users` or to `rate_per_s`"),
        ({"stages": [{"time_s": 1, "users": 1, "rate_per_s": 1}]}, "goes to `users` or to `rate_per_s`"),
        ({"stages": [{"time_s": 1, "users": 1}, {"time_s": 1, "rate_per_s": 1}]}, "phases of their own"),
        ({"stages": [{"time_s": 1, "users": 0}]}, "start nothing"),
        ({"stages": [{"time_s": 0, "users": 3}]}, "start nothing"),
        ({"stages": [{"time_s": 1, "users": 3}], "in_flight_max": 3}, "`in_flight_max` means nothing"),
        ({"stages": [{"time_s": 1, "rate_per_s": 3}], "think_time_s": 3}, "`think_time_s` means nothing"),
    ],
)
def test_stages_that_cannot_be_followed_are_refused(keys: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        opened("stages", PhaseBounds(), **keys)


def test_stages_have_times_of_their_own() -> None:
    with pytest.raises(ValueError, match="Leave `time_s` out"):
        opened("stages", PhaseBounds(time_s=5), stages=[{"time_s": 1, "rate_per_s": 3}])


@pytest.mark.parametrize("kind", ["constant_rate", "poisson"])
def test_more_starts_than_a_phase_holds_are_refused_before_they_are_drawn(kind: str) -> None:
    with pytest.raises(ValueError, match=r"86,400,000,000 requests.* 1,000,000 at most"):
        opened(kind, PhaseBounds(time_s=86_400), rate_per_s=1_000_000)


def trace(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


QUERY = '{{"offset_s": {}, "operation": "query", "arguments": {{"query": "where?"}}}}'


def test_a_trace_keeps_its_distances_scaled_from_the_first_line_that_is_timed(tmp_path: Path) -> None:
    path = trace(tmp_path / "day.jsonl", *(QUERY.format(at) for at in (5, 7, 8, 8, 11)), "")
    assert starts("trace", PhaseBounds(), path=path) == [0, 2, 3, 3, 6]
    assert starts("trace", PhaseBounds(warm_up=1), path=path, speed=2) == [0, 0.5, 0.5, 2]
    assert starts("trace", PhaseBounds(time_s=3), path=path) == [0, 2]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", r"day\.jsonl:2: Invalid JSON"),
        ("[]", r"day\.jsonl:2: "),
        ('{"offset_s": 1, "operation": "query"}', r"day\.jsonl:2: 'arguments' is missing"),
        ('{"offset_s": "1", "operation": "query", "arguments": {}}', r"day\.jsonl:2: 'offset_s' has to be a number"),
        ('{"offset_s": 0.5, "operation": "query", "arguments": {}}', r"day\.jsonl:2: .*goes back from 1 to 0\.5"),
    ],
)
def test_a_line_of_a_trace_that_cannot_be_sent_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = trace(tmp_path / "day.jsonl", QUERY.format(1), line)
    with pytest.raises(UsageError, match=complaint):
        opened("trace", PhaseBounds(), path=path)


def test_the_mark_of_an_editor_is_part_of_no_trace(tmp_path: Path) -> None:
    path = trace(tmp_path / "day.jsonl", QUERY.format(5), QUERY.format(7))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert starts("trace", PhaseBounds(), path=path) == [0, 2]


def test_a_trace_that_is_not_there_empty_or_used_up_by_its_warm_up_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*none\.jsonl"):
        opened("trace", PhaseBounds(), path=tmp_path / "none.jsonl")
    with pytest.raises(UsageError, match="is empty"):
        opened("trace", PhaseBounds(), path=trace(tmp_path / "empty.jsonl"))
    with pytest.raises(ValueError, match="Lower `warm_up`"):
        opened("trace", PhaseBounds(warm_up=1), path=trace(tmp_path / "one.jsonl", QUERY.format(0)))
