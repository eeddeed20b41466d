"""What several workers have done, as one."""

from typing import Any

from harness.measuring.passes import end_of_all, phase_of_all
from harness.record import LevelsRecord
from tests.records import phase


def test_a_phase_of_users_has_the_users_of_all_and_goes_on_until_the_last_answer() -> None:
    whole = phase_of_all(
        [
            phase(users=2, started=10, started_s=0.2, ended_s=4.0, counters={"client_cpu_s": 1.5}),
            phase(users=1, started=5, started_s=0.1, ended_s=5.0, counters={"client_cpu_s": 0.5}),
        ]
    )
    assert whole == phase(users=3, processes=2, started=15, started_s=0.1, ended_s=5.0, counters={"client_cpu_s": 2.0})


def test_levels_that_several_processes_read_at_different_moments_are_left_out() -> None:
    read = phase(levels=LevelsRecord(at_s=(0.0,), values={"pool_in_use": (1.0,)}))
    assert phase_of_all([read, read]).levels is None
    assert phase_of_all([read]).levels == read.levels


def test_a_phase_with_a_rate_has_the_starts_of_all() -> None:
    keys: dict[str, Any] = {"loop": "open", "arrival": "poisson"}
    whole = phase_of_all(
        [
            phase(rate_per_s_target=20.0, planned=40, started=38, dropped=2, **keys),
            phase(rate_per_s_target=19.5, planned=39, started=39, **keys),
            phase(started=0, planned=0, **keys),
        ]
    )
    assert (whole.rate_per_s_target, whole.planned, whole.started, whole.dropped) == (39.5, 79, 77, 2)
    assert (whole.users, whole.processes) == (None, 3)


def end(**fields: Any) -> dict[str, Any]:
    return {"name": "batched", "complete": True, "drain_s": 0.5, "cache": {}, "pool": {}, "background": []} | fields


def work(kind: str, count: int) -> dict[str, Any]:
    return {"kind": kind, "count": count, "failures": 0, "statements": 4 * count, "round_trips": 4 * count}


def test_the_end_adds_up_what_each_has_counted() -> None:
    cache = {"hits": 3, "misses": 1, "coalesced": 0, "evictions": 0, "hit_rate": 0.75}
    merged = end_of_all(
        [
            end(cache=cache, pool={"size": 4}, background=[work("merge", 2)], recalls=[0.5]),
            end(
                cache=cache | {"hits": 1}, pool={"size": 3}, drain_s=2.0, background=[work("merge", 1), work("log", 1)]
            ),
        ]
    )
    assert merged == end(
        cache={"hits": 4, "misses": 2, "coalesced": 0, "evictions": 0, "hit_rate": 4 / 6},
        pool={"size": 7},
        drain_s=2.0,
        background=[work("log", 1), work("merge", 3)],
        recalls=[0.5],
    )
