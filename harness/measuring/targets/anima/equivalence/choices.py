"""Says which strategies are to agree: the presets, and every choice on an axis by itself.

A strategy is named like its preset, or like a preset with other choices: `naive+associations=batched`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Final, Literal, get_args, get_origin, get_type_hints

from anima import strategy
from anima.errors import InvalidInput
from anima.strategy import NAIVE, PRESETS, Strategy

APPROXIMATE: Final = "hnsw"
APART: Final = frozenset({"augmented", "apart", "logged", "ranked", "one_statement"})
"""Choices that need what changes often to live apart."""
LAYOUT: Final = ("search", "access_records", "associations", "bootstrap")
"""The axes whose choices read and write what changes often, all of them in the same place."""

MET_CONCURRENTLY: Final = ("batched", "frontier", "naive", "fix2")
"""Presets that between them place work in each way and lock in each: `fix2` writes many pairs inline at once."""

AXES: Final[dict[str, tuple[str, ...]]] = {
    axis: get_args(annotation)
    for axis, annotation in get_type_hints(Strategy).items()
    if get_origin(annotation) is Literal
}


def named(name: str) -> Strategy:
    """The strategy with read-only bootstrap, as equivalence is judged. Raises `InvalidInput` if it cannot be."""
    preset, *choices = name.split("+")
    changes: dict[str, Any] = dict(map(_choice, choices))
    chosen = replace(strategy.preset(preset), **changes, bootstrap_records_access=False, name=name)
    if chosen.search == APPROXIMATE:
        raise InvalidInput(f"{name} searches approximately: it is held to a recall, and need not agree.")
    _refuse_two_layouts(chosen)
    return chosen


def comparable(names: Sequence[str]) -> list[Strategy]:
    """Strategies that are to agree. Raises `InvalidInput` for any that are not."""
    strategies = [named(name) for name in names]
    if len({strategy.consolidation == "off" for strategy in strategies}) > 1:
        raise InvalidInput("Strategies with consolidation and without it need not agree: verify them one by one.")
    return strategies


def exact_presets() -> tuple[str, ...]:
    return distinct(name for name, preset in PRESETS.items() if preset.search != APPROXIMATE)


def single_choices() -> tuple[str, ...]:
    """`naive` with each other choice on each axis, and `frontier` with those that it can have."""
    return distinct(
        (
            *(
                f"naive+{axis}={choice}"
                for axis, choices in AXES.items()
                for choice in choices
                if choice not in (getattr(NAIVE, axis), APPROXIMATE, *APART)
            ),
            "frontier+recall=stepwise",
            "frontier+recall=stepwise+association_placement=background",
            "frontier+consolidation=full_scan",
        )
    )


def distinct(names: Iterable[str]) -> tuple[str, ...]:
    """Those that differ in more than the pool: its size changes nothing for a single client."""
    behaviours: dict[Strategy, str] = {}
    for name in names:
        behaviour = replace(named(name), name="", description="", pool_size=1, acquire_timeout_s=1)
        behaviours.setdefault(behaviour, name)
    return tuple(behaviours.values())


def _refuse_two_layouts(chosen: Strategy) -> None:
    is_apart = {getattr(chosen, axis) in APART for axis in LAYOUT}
    others = {chosen.recall, chosen.consolidation} & APART
    is_stale = is_apart == {True} and chosen.consolidation_placement == "inline"
    if len(is_apart) > 1 or (is_apart == {False} and others) or is_stale:
        raise InvalidInput(
            f"{chosen.name} would read in one place what it writes in another: {', '.join(sorted(APART))} belong "
            "together. Choose frontier, or none of them."
        )


def _choice(text: str) -> tuple[str, str]:
    axis, _, choice = text.partition("=")
    if choice not in AXES.get(axis, ()):
        known = "; ".join(f"{axis}={'|'.join(choices)}" for axis, choices in AXES.items())
        raise InvalidInput(f"{text!r} is no choice on an axis. Choices: {known}.")
    return axis, choice
