"""Frames of two sides compared: what changed is found, and noise is not called a change."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.judging.analysis.flames import FrameChange, Stack, compare, culprits, inclusive

OWN_MS: Mapping[Stack, float] = {
    ("query",): 2.0,
    ("query", "search", "fetch"): 20.0,
    ("query", "access", "execute"): 30.0,
    ("query", "associations", "execute"): 60.0,
}
PLANTED: Stack = ("query", "planted", "execute")


def rounds(own_ms: Mapping[Stack, float], draws: random.Random, count: int = 6) -> list[dict[Stack, float]]:
    """Rounds that differ by 5 % per frame, and by 5 % as a whole: machines drift."""
    return [
        {stack: drift * ms * draws.lognormvariate(0, 0.05) for stack, ms in own_ms.items()}
        for drift in (draws.lognormvariate(0, 0.05) for _ in range(count))
    ]


def change_of(changes: list[FrameChange], stack: Stack) -> FrameChange:
    return next(change for change in changes if change.stack == stack)


stacks = st.lists(st.sampled_from("abc"), max_size=4).map(tuple)
profiles = st.dictionaries(stacks, st.floats(0, 1e6), max_size=12)


@given(profiles)
def test_the_root_holds_all_that_was_measured(own_ms: dict[Stack, float]) -> None:
    if own_ms:
        assert inclusive(own_ms)[()] == pytest.approx(sum(own_ms.values()))


@given(profiles)
def test_a_frame_holds_its_callees(own_ms: dict[Stack, float]) -> None:
    totals = inclusive(own_ms)
    for stack in totals:
        callees = sum(ms for other, ms in totals.items() if other[:-1] == stack and other)
        assert totals[stack] == pytest.approx(callees + own_ms.get(stack, 0.0))


@given(st.lists(profiles, min_size=2, max_size=4), st.lists(profiles, min_size=2, max_size=4))
def test_swapped_sides_change_by_the_opposite(
    before: list[dict[Stack, float]], after: list[dict[Stack, float]]
) -> None:
    there, back = compare(before, after), compare(after, before)
    assert [change.stack for change in there] == [change.stack for change in back]
    for one, other in zip(there, back, strict=True):
        assert (one.before_ms, one.after_ms, one.changed) == (other.after_ms, other.before_ms, other.changed)


def test_unchanged_code_is_called_changed_in_at_most_a_twentieth_of_runs() -> None:
    draws = random.Random(20260901)
    coloured = sum(
        any(change.changed for change in compare(rounds(OWN_MS, draws), rounds(OWN_MS, draws))) for _ in range(200)
    )
    assert coloured <= 16, "a binomial of 200 runs at 5 % exceeds this in 2 % of seeds"


@pytest.mark.parametrize("seed", range(10))
def test_a_planted_statement_is_the_first_culprit(seed: int) -> None:
    draws = random.Random(seed)
    changes = compare(rounds(OWN_MS, draws), rounds({**OWN_MS, PLANTED: 20.0}, draws))
    assert culprits(changes)[0].stack == PLANTED
    assert change_of(changes, PLANTED).before_ms == 0
    assert change_of(changes, PLANTED).after_ms == pytest.approx(20, rel=0.15)


def test_a_frame_that_vanished_is_there() -> None:
    draws = random.Random(3)
    without = {stack: ms for stack, ms in OWN_MS.items() if "associations" not in stack}
    vanished = culprits(compare(rounds(OWN_MS, draws), rounds(without, draws)))[0]
    assert vanished.stack == ("query", "associations", "execute")
    assert vanished.after_ms == 0


def test_the_callee_is_named_and_not_its_callers() -> None:
    draws = random.Random(4)
    slower = {**OWN_MS, ("query", "access", "execute"): 60.0}
    found = [change.stack for change in culprits(compare(rounds(OWN_MS, draws), rounds(slower, draws)))]
    assert found[0] == ("query", "access", "execute")
    assert not {(), ("query",), ("query", "access")} & set(found)


def test_one_round_tells_nothing() -> None:
    draws = random.Random(5)
    changes = compare(rounds(OWN_MS, draws, 1), rounds({**OWN_MS, PLANTED: 500.0}, draws, 1))
    assert not any(change.changed for change in changes)
    assert culprits(changes) == []


def test_a_change_that_is_certain_but_tiny_is_not_called_one() -> None:
    before: dict[Stack, float] = {("query", "search"): 10.0}
    after: dict[Stack, float] = {("query", "search"): 10.04}
    changes = compare([before] * 5, [after] * 5)
    assert not any(change.changed for change in changes)


def test_nothing_measured_is_nothing_to_compare() -> None:
    assert compare([], []) == []
    assert culprits([]) == []
