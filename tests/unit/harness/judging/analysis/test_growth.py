"""A leak goes on; warm-up, a cache that fills and a collector's work do not."""

import random
from collections.abc import Callable, Sequence

import pytest

from harness.judging.analysis.growth import PARTS, steady_growth

READINGS = 60


def readings(value: Callable[[int], float], noise: float = 0.0) -> Sequence[float]:
    draw = random.Random(7)
    return [50e6 + value(number) + draw.uniform(0, noise) for number in range(READINGS)]


def grown(values: Sequence[float]) -> float | None:
    """Of readings that are a second apart."""
    return steady_growth([float(number) for number in range(len(values))], values)


def test_what_grows_throughout_is_told_from_the_first_reading_to_the_last() -> None:
    assert grown(readings(lambda n: 50_000 * n)) == pytest.approx(50_000 * (READINGS - 1))


def test_garbage_that_is_collected_now_and_then_hides_no_leak_and_is_none() -> None:
    garbage: Callable[[int], float] = lambda n: 400_000 * (n % 7)  # noqa: E731
    assert grown(readings(garbage)) == 0
    assert grown(readings(lambda n: 50_000 * n + garbage(n))) == pytest.approx(50_000 * READINGS, rel=0.15)


ENDING: dict[str, Callable[[int], float]] = {
    "a warm-up": lambda n: 5e6 * min(n / 10, 1),
    "one jump": lambda n: 5e6 * (n > 30),
    "a cache that fills ever more slowly": lambda n: 5e6 * (1 - 0.9**n),
    "a cache that is full in the middle": lambda n: 3e6 * min(n / 30, 1),
    "what is given back": lambda n: -1e5 * n,
    "nothing": lambda n: 0 * n,
}


@pytest.mark.parametrize("kind", ENDING)
def test_what_comes_to_an_end_is_no_growth(kind: str) -> None:
    assert grown(readings(ENDING[kind], noise=1_000)) == 0


def test_noise_alone_is_hardly_ever_growth_and_never_much() -> None:
    draws = [random.Random(seed) for seed in range(300)]
    growths = [grown([draw.gauss(50e6, 20_000) for _ in range(READINGS)]) for draw in draws]
    found = [growth for growth in growths if growth]
    assert len(found) <= 6
    assert all(each < 200_000 for each in found)


def test_readings_need_not_be_as_far_apart_from_each_other() -> None:
    at_s = [0.1 * number for number in range(50)] + [5.0 + number for number in range(30)]
    assert steady_growth(at_s, [1e6 + 1_000 * now_s for now_s in at_s]) == pytest.approx(34_000)


def test_too_few_readings_say_nothing() -> None:
    assert grown([]) is None
    assert grown([1.0] * (PARTS - 1)) is None
    assert steady_growth([0.0, 0.1, 0.2, 0.3, 0.4, 10.0], [1.0] * 6) is None
    assert grown([float(n) for n in range(PARTS)]) == pytest.approx(PARTS - 1)
