"""What the self-test counts of flame graphs: noise that has a colour, and planted statements that are found first."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from harness.commands.selftest import profiled
from harness.measuring.scenario import Scenario
from harness.record import ProfileRecord, RunRecord
from tests.records import record, samples, variant

HEALTHY = "harness/measuring/targets/anima/target.py:OpenAnima.perform;search"
PLANTED = "harness/measuring/targets/planted.py:OpenPlanted.send_one_more;asyncpg/connection.py:Connection.execute"
ELSEWHERE = "harness/measuring/targets/planted.py:OpenPlanted.perform;somewhere_else"
SIZE = profiled.ProfiledSize(runs=3, rounds=6, requests=2)


def profiles(name: str, own_ms: dict[str, float]) -> Iterator[ProfileRecord]:
    for number in range(1, SIZE.rounds + 1):
        stacks = {stack: ms / 1000 * (1 + number / 1000) for stack, ms in own_ms.items()}
        yield ProfileRecord(
            variant=name, operation="query", round=number, requests=1, profiled_s=0.1, plain_s=0.1, stacks=stacks
        )


def pretend(monkeypatch: pytest.MonkeyPatch, planted: dict[str, float], control: dict[str, float]) -> list[Scenario]:
    """Every run has these milliseconds beside the healthy target's; returns what was to be measured."""
    asked: list[Scenario] = []

    def measured(chosen: Scenario) -> RunRecord:
        asked.append(chosen)
        own_ms: Sequence[dict[str, float]] = ({}, planted, control)
        found = [
            each
            for named, own in zip(chosen.lineup, own_ms, strict=True)
            for each in profiles(named.name, {HEALTHY: 8.0, **own})
        ]
        return record(variant("naive", samples([0.1]))).model_copy(update={"profiles": tuple(found)})

    monkeypatch.setattr(profiled, "measured", measured)
    return asked


def test_the_planted_statement_on_top_and_a_grey_control_are_as_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = pretend(monkeypatch, planted={PLANTED: 20.0}, control={})
    same, first = profiled.differences(SIZE, seed=5)
    assert (same.occurred, first.occurred, first.trials) == (0, 3, 3)
    assert [each.seed for each in asked] == [5, 6, 7]
    assert {each.rounds for each in asked} == {0}, "nothing is timed"


@pytest.mark.parametrize("planted", [{ELSEWHERE: 20.0}, {PLANTED: 20.0, ELSEWHERE: 30.0}, {}])
def test_another_frame_on_top_is_not_the_statement(monkeypatch: pytest.MonkeyPatch, planted: dict[str, float]) -> None:
    pretend(monkeypatch, planted=planted, control={})
    _, first = profiled.differences(SIZE, seed=1)
    assert first.occurred == 0
    assert not replace(first, trials=10).is_kept


def test_a_control_that_differs_is_counted_as_coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, planted={PLANTED: 20.0}, control={ELSEWHERE: 3.0})
    same, _ = profiled.differences(SIZE, seed=1)
    assert same.occurred == 3
    assert not replace(same, occurred=10, trials=10).is_kept
