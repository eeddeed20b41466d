"""Measured values as people write them: one unit, three significant digits, and the same words in every report."""

import math
from typing import Final, Literal, assert_never

Unit = Literal["time", "share", "count", "rate", "amount", "index"]
"""`rate` is per second, `amount` has its unit in the metric's name, `index` is the name of one and no number."""

ABSENT = "\N{EN DASH}"
MINUS = "\N{MINUS SIGN}"

SHARE_MIN: Final = 1e-6
PERCENT_MIN: Final = 0.1


def significant(value: float) -> str:
    """Three significant digits, and never fewer than the digits before the point."""
    if value == 0 or abs(value) >= 100:  # noqa: PLR2004 -- three digits.
        return f"{value:.0f}"
    return f"{value:.{2 - math.floor(math.log10(float(f'{abs(value):.2e}')))}f}"


def duration(seconds: float | None) -> str:
    """`412 µs`, `4.12 ms`, `152 ms`, `1.24 s`; `∞` for what never ended."""
    if seconds is None:
        return ABSENT
    if math.isinf(seconds):
        return "∞" if seconds > 0 else f"{MINUS}∞"
    sign, magnitude = (MINUS if seconds < 0 else ""), abs(seconds)
    # The unit is chosen after rounding, so that 0.9996 s is 1.00 s and not 1000 ms.
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if float(f"{magnitude * factor:.2e}") < 1000:  # noqa: PLR2004 -- the next unit begins.
            return f"{sign}{significant(magnitude * factor)} {unit}"
    return f"{sign}{significant(magnitude)} s"


def share(ratio: float | None) -> str:
    """`91.3%`; whole where it is whole, and never 0% of something that is there."""
    if ratio is None:
        return ABSENT
    size = abs(ratio) * 100
    text = f"{size:.1f}".removesuffix(".0")
    if text == "0" and size:
        text = f"{size:.{-math.floor(math.log10(size))}f}" if size > SHARE_MIN * 100 else f"under {SHARE_MIN * 100:g}"
    return f"{MINUS if ratio < 0 else ''}{text}%"


def percent(ratio: float) -> str:
    """`36%`, `4.2%`: two digits of a distance, which says how much room there is."""
    size = abs(ratio) * 100
    if size < PERCENT_MIN:
        return f"under {PERCENT_MIN}%"
    return f"{size:.0f}%" if size >= 9.95 else f"{size:.1f}%".replace(".0%", "%")  # noqa: PLR2004 -- two digits.


def count(number: float | None) -> str:
    """`2,310`; a half where a median lies between two counts."""
    if number is None:
        return ABSENT
    return f"{number:,.0f}" if number == int(number) else f"{number:,.1f}"


def number_of(number: float, thing: str) -> str:
    """`1 round`, `2,310 rounds`."""
    return f"{count(number)} {thing}{'' if number == 1 else 's'}"


def rate(per_second: float | None) -> str:
    """`20.3/s`."""
    return ABSENT if per_second is None else f"{amount(per_second)}/s"


def amount(value: float | None) -> str:
    """`0.42`, `8.13`, `12,340`: three significant digits, and every digit before the point."""
    if value is None:
        return ABSENT
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else significant(value)  # noqa: PLR2004 -- three digits.


def mean_count(number: float) -> str:
    """`232`, `5.6`, `21.25`: a mean of counts, with enough digits to show one statement more in a few requests."""
    return f"{number:,.5g}"


def quantity(value: float | None, unit: Unit) -> str:
    match unit:
        case "time":
            return duration(value)
        case "share":
            return share(value)
        case "count":
            return count(value)
        case "rate":
            return rate(value)
        case "amount":
            return amount(value)
        case "index":
            return ABSENT
        case _:
            assert_never(unit)


def interval(lower: float | None, upper: float | None, unit: Unit) -> str:
    """`118 ms to 131 ms`, `over 4.17 s` where there is no upper bound; empty where there is none at all."""
    low, high = (quantity(end, unit) if end is not None and math.isfinite(end) else None for end in (lower, upper))
    if low and high:
        return f"{low} to {high}"
    return f"over {low}" if low else f"under {high}" if high else ""
