"""What was at its end where a rate broke, by what was observed there."""

import pytest

from harness.judging.saturation import saturations
from harness.record import LevelsRecord
from tests.records import phase, record, sample, variant

LEVELS = LevelsRecord(at_s=(0.0, 1.0), values={"pool_waiting": (3.0, 1.0)})


@pytest.mark.parametrize(
    ("counters", "said"),
    [
        ({"timed_client_cpu_s": 9.5}, "a processor (the target's own"),
        ({"service_cpu_s": 9.9}, "processors of the service (0.99 busy)"),
        ({"server_cpu_s": 9.0}, "processors of the database server (0.90 busy)"),
        ({"server_cpu_s": 30.0, "service_cpu_s": 8.0}, "the machine's processors (3.80 of 4 busy)"),
        ({"waits Lock: transactionid": 60.0, "waits processor": 40.0}, "locks of other sessions (60%"),
        ({"waits IO: DataFileRead": 30.0, "waits processor": 70.0}, "the database server's disk (30%"),
    ],
)
def test_what_is_busy_or_waited_for_is_named(counters: dict[str, float], said: str) -> None:
    part = variant("current", phases=(phase("query", ended_s=10.0, counters=counters),))
    [found] = saturations(record(part), part)
    assert found.startswith(said)


@pytest.mark.parametrize(
    "counters",
    [{"timed_client_cpu_s": 2.0}, {"waits Client: ClientRead": 90.0, "waits processor": 10.0}, {}],
)
def test_nothing_is_said_of_what_is_not(counters: dict[str, float]) -> None:
    part = variant("current", phases=(phase("query", ended_s=10.0, counters=counters),))
    assert saturations(record(part), part) == ()


def test_so_is_a_pool_that_requests_wait_for() -> None:
    waiting = variant("current", [sample("query", 0.1, elapsed_s={"pool": 0.06})])
    [found] = saturations(record(waiting), waiting)
    assert found == "the pool of connections (60% of the latency waits for one)"
    levels = variant("current", phases=(phase("query", levels=LEVELS),))
    [found] = saturations(record(levels), levels)
    assert found == "the pool of connections (somebody waits for one 100% of the time)"
