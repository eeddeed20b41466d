import math

import pytest

from harness.quantities import count, duration, interval, number_of, share


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 µs"),
        (0.0000004, "0.400 µs"),
        (0.000412, "412 µs"),
        (0.00412, "4.12 ms"),
        (0.0999, "99.9 ms"),
        (0.09996, "100 ms"),
        (0.1523, "152 ms"),
        (0.9994, "999 ms"),
        (0.9996, "1.00 s"),
        (1.2345, "1.23 s"),
        (12.345, "12.3 s"),
        (151.2, "151 s"),
        (-0.05, "\N{MINUS SIGN}50.0 ms"),
        (math.inf, "∞"),
        (None, "\N{EN DASH}"),
    ],
)
def test_durations_have_three_digits_and_the_unit_that_fits(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (0, "0%"),
        (1, "100%"),
        (0.9128, "91.3%"),
        (-0.975, "\N{MINUS SIGN}97.5%"),
        (-0.0001, "\N{MINUS SIGN}0.01%"),
        (0.00042, "0.04%"),
        (0.0000001, "under 0.0001%"),
        (None, "\N{EN DASH}"),
    ],
)
def test_shares_are_percentages(ratio: float | None, text: str) -> None:
    assert share(ratio) == text


@pytest.mark.parametrize(("number", "text"), [(232, "232"), (2310, "2,310"), (236.5, "236.5"), (None, "\N{EN DASH}")])
def test_counts_are_whole_unless_they_are_not(number: float | None, text: str) -> None:
    assert count(number) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 rounds"), (1, "1 round"), (2310, "2,310 rounds")])
def test_one_thing_is_not_several(number: int, text: str) -> None:
    assert number_of(number, "round") == text


@pytest.mark.parametrize(
    ("lower", "upper", "text"),
    [
        (0.118, 0.131, "118 ms to 131 ms"),
        (4.17, None, "over 4.17 s"),
        (4.17, math.inf, "over 4.17 s"),
        (-math.inf, 2.0, "under 2.00 s"),
        (None, None, ""),
    ],
)
def test_intervals_say_which_end_is_open(lower: float | None, upper: float | None, text: str) -> None:
    assert interval(lower, upper, "time") == text
