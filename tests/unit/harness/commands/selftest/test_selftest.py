"""The self-test finds a judge that is wrong, and its populations are what they say."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from harness.command_line import selftest
from harness.commands.selftest import simulated
from harness.commands.selftest.findings import Finding, Promise, as_json, table
from harness.commands.selftest.populations import POPULATIONS
from harness.commands.selftest.simulated import SimulationTask
from harness.judging.analysis.quantiles import Bounds, quantile_bounds
from harness.judging.budget_metrics.protocol import Outcome

AT_MOST = Promise("at most", 0.05)
AT_LEAST = Promise("at least", 0.99)


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("probability", [0.5, 0.95])
def test_the_true_quantile_is_that_of_what_is_drawn(name: str, probability: float) -> None:
    population = POPULATIONS[name]
    draws = population.draw(np.random.default_rng(1), 200_000)
    share = float(np.mean(draws <= population.quantile(probability)))
    assert share == pytest.approx(probability, abs=0.01)


@pytest.mark.parametrize(
    ("promise", "occurred", "kept"),
    [(AT_MOST, 50, True), (AT_MOST, 60, True), (AT_MOST, 90, False), (AT_LEAST, 980, True), (AT_LEAST, 950, False)],
)
def test_a_promise_is_broken_by_more_than_chance(promise: Promise, occurred: int, *, kept: bool) -> None:
    assert Finding("a judge", "wrong", occurred, 1_000, promise).is_kept is kept


def test_what_is_promised_nothing_is_told() -> None:
    finding = Finding("a judge", "undecided", 1_000, 1_000)
    assert finding.is_kept
    assert as_json([finding])[0]["promise"] is None
    assert table([finding]).row_count == 1


@pytest.mark.slow
def test_a_judge_that_looks_six_times_at_the_full_level_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sequential rule is there to prevent."""

    def at_full_level(
        ordered: Sequence[float], sizes: Sequence[int], probability: float, confidence: float, *, design_effect: float
    ) -> Bounds:
        del sizes, confidence
        return quantile_bounds(ordered, probability, design_effect=design_effect)

    monkeypatch.setattr("harness.judging.budget_metrics.latency_quantile.sequential_bounds", at_full_level)
    monkeypatch.setattr(simulated, "LOOKS", {"up to 6 looks": simulated.LOOKS["up to 6 looks"]})
    monkeypatch.setattr(simulated, "EVENTS", {"wrong": (1.0, Outcome.FAIL)})
    (found,) = simulated.budgets_of(SimulationTask("log-normal", trials=120, seed=1))
    assert not found.is_kept


def test_drifting_samples_are_promised_nothing() -> None:
    found = simulated.budgets_of(SimulationTask("drifting", trials=2, seed=1))
    assert {each.promise for each in found} == {None}
    assert all(each.trials == 2 for each in found)


WRONG_EVENTS = {event: what for event, what in simulated.EVENTS.items() if what[1] is not Outcome.UNDECIDED}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["correlated", "noisy neighbour"])
def test_dependent_samples_are_judged_wrongly_no_more_often_than_promised(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated, "EVENTS", WRONG_EVENTS)
    monkeypatch.setattr(simulated, "LOOKS", {"one look": (300,), "2 looks": (200, 400)})
    found = [each for each in simulated.budgets_of(SimulationTask(name, trials=80, seed=1)) if each.promise]
    assert len(found) == 4
    assert all(each.is_kept for each in found)


@pytest.mark.slow
def test_a_judge_that_takes_dependent_samples_as_independent_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def independent(*_arguments: object) -> float:
        return 1.0

    monkeypatch.setattr("harness.judging.budget_metrics.latency_quantile.design_effect", independent)
    monkeypatch.setattr(simulated, "EVENTS", WRONG_EVENTS)
    monkeypatch.setattr(simulated, "LOOKS", {"one look": (300,)})
    found = simulated.budgets_of(SimulationTask("correlated", trials=150, seed=1))
    assert not any(each.is_kept for each in found if each.promise)


def test_a_comparison_finds_what_was_made_slower_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(simulated, "REQUESTS", 200)
    same, *slower = simulated.comparisons_of(SimulationTask("log-normal", trials=10, seed=1))
    assert (same.is_kept, slower[-1].occurred) == (True, 10)
    assert not replace(same, occurred=10).is_kept


@pytest.mark.parametrize(("occurred", "exit_code"), [(0, 0), (40, 1)])
def test_a_broken_promise_is_named_kept_and_exits_with_1(
    occurred: int, exit_code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    finding = Finding("a judge", "wrong", occurred, 100, AT_MOST)
    monkeypatch.setattr(simulated, "budgets", lambda *_: [finding])
    monkeypatch.setattr(simulated, "comparisons", lambda *_: [])
    arguments = ["--only", "simulated", "--output", str(tmp_path / "selftest.json")]
    done = CliRunner().invoke(selftest, arguments, standalone_mode=False)
    assert done.return_value == exit_code
    assert ("Broken: a judge: wrong 40 times in 100, not at most 5%." in done.output) is bool(exit_code)
    (kept,) = json.loads((tmp_path / "selftest.json").read_text(encoding="utf-8"))["findings"]
    assert (kept["occurred"], kept["is_kept"]) == (occurred, not exit_code)


def test_the_verdict_is_the_products() -> None:
    latencies = simulated.as_measured(np.full(100, 0.1))
    assert simulated.verdict(latencies, (100,), 0.2) is Outcome.PASS
    assert simulated.verdict(latencies, (50, 100), 0.2) is Outcome.PASS
    assert simulated.verdict(latencies, (100,), 0.05) is Outcome.FAIL


def test_the_pieces_that_tell_the_time_to_go_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one population in each part, in this process, as those of the simulation count."""
    done = simulated.Done()
    monkeypatch.setattr(simulated, "COUNTED", [done.pieces])
    simulated.budgets_of(SimulationTask("log-normal", trials=2, seed=1))
    assert done.pieces.value == 8
    simulated.comparisons_of(SimulationTask("log-normal", trials=2, seed=1))
    assert done.pieces.value == 8 + 7
    assert done.share == 15 / simulated.PIECES
    assert str(done) == f"simulated runs, 15 of {simulated.PIECES} pieces"
