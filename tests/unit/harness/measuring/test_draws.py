"""Draws are the same everywhere, and fall as the weights say."""

from collections import Counter

import pytest

from harness.measuring.draws import Draws, Weights


def test_a_seed_gives_the_same_draws_on_every_python() -> None:
    draws = Draws(7, "x")
    assert [draws.index(1000) for _ in range(6)] == [939, 732, 634, 396, 530, 370]
    ranks = Weights.zipf(50, 1.1)
    assert [ranks.index(draws) for _ in range(8)] == [17, 0, 14, 6, 0, 0, 1, 4]


@pytest.mark.parametrize(("seed", "stream"), [(7, "y"), (8, "x"), (-7, "x")])
def test_another_seed_or_stream_gives_other_draws(seed: int, stream: str) -> None:
    one, other = Draws(7, "x"), Draws(seed, stream)
    assert [one.fraction() for _ in range(4)] != [other.fraction() for _ in range(4)]


def test_what_weighs_nothing_is_never_drawn() -> None:
    draws = Draws(1, "weights")
    weights = Weights([0, 3, 0, 1, 0])
    drawn = Counter(weights.index(draws) for _ in range(4000))
    assert set(drawn) == {1, 3}
    assert 0.7 < drawn[1] / 4000 < 0.8


@pytest.mark.parametrize("fraction", [0.0, 1 - 2**-53])
def test_the_ends_of_the_range_draw_what_has_weight(fraction: float, monkeypatch: pytest.MonkeyPatch) -> None:
    draws = Draws(1, "ends")
    monkeypatch.setattr(draws, "fraction", lambda: fraction)
    assert Weights([0, 0.1, 0.2, 0.7]).index(draws) == (1 if fraction == 0 else 3)
    assert draws.index(5) == (0 if fraction == 0 else 4)


def test_a_chance_of_nothing_never_comes_and_a_sure_one_always() -> None:
    draws = Draws(1, "chances")
    assert not any(draws.chance(0) for _ in range(100))
    assert all(draws.chance(1) for _ in range(100))
