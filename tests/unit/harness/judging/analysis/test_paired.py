import math

import numpy as np
import pytest
from scipy import stats

from harness.advice import MARGIN
from harness.judging.analysis.paired import STATISTICS, Effect, decide, detectable, paired, unpaired

BASELINE = [0.100, 0.104, 0.098, 0.101, 0.103, 0.099]
SLOWER = [0.131, 0.134, 0.126, 0.133, 0.135, 0.128]


def effect(log_ratio: float, standard_error: float, rounds: int = 10) -> Effect:
    return Effect(log_ratio, standard_error, rounds - 1, rounds)


def test_paired_is_the_t_test_of_the_log_ratios() -> None:
    found = paired(BASELINE, SLOWER)
    assert found is not None
    known = stats.ttest_rel(np.log(SLOWER), np.log(BASELINE))
    assert found.p_value == pytest.approx(known.pvalue)
    interval = known.confidence_interval(0.99)
    assert found.log_ratio - found.half_width(0.01) == pytest.approx(interval.low)
    assert found.log_ratio + found.half_width(0.01) == pytest.approx(interval.high)


def test_unpaired_is_the_test_of_welch_on_the_logs() -> None:
    found = unpaired(BASELINE, SLOWER[:4])
    assert found is not None
    known = stats.ttest_ind(np.log(SLOWER[:4]), np.log(BASELINE), equal_var=False)
    assert found.p_value == pytest.approx(known.pvalue)
    assert found.degrees_of_freedom == pytest.approx(known.df)


def test_holm_confirms_what_scipy_and_its_inventor_confirm() -> None:
    # 0.004 <= 0.05/4 and 0.01 <= 0.05/3, but 0.03 > 0.05/2, so 0.04 is not looked at although it is under 0.05/1.
    p_values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.004}
    effects = {name: effect(0.2, 0.2 / float(stats.t.isf(p_value / 2, 9))) for name, p_value in p_values.items()}
    words = {name: difference.word for name, difference in decide(effects, risk=0.05, margin=MARGIN).items()}
    assert words == {"a": "slower", "b": "undecided", "c": "undecided", "d": "slower"}
    levels = {name: 1 - difference.confidence for name, difference in decide(effects, risk=0.05, margin=MARGIN).items()}
    assert levels == pytest.approx({"d": 0.05 / 4, "a": 0.05 / 3, "c": 0.05 / 2, "b": 0.05 / 2})


@pytest.mark.parametrize(
    ("log_ratio", "standard_error", "word"),
    [
        (0.10, 0.01, "slower"),
        (-0.10, 0.01, "faster"),
        (0.03, 0.001, "same"),
        (0.03, 0.01, "undecided"),
        (0.10, 0.10, "undecided"),
        (0.00, 0.00, "same"),
        (0.10, 0.00, "slower"),
    ],
)
def test_a_word_is_confirmed_and_matters(log_ratio: float, standard_error: float, word: str) -> None:
    assert decide({"p95": effect(log_ratio, standard_error)}, margin=MARGIN)["p95"].word == word


def test_one_round_decides_nothing() -> None:
    for found in (paired([0.1], [0.9]), unpaired([0.1], SLOWER)):
        assert found is not None
        difference = decide({"p95": found}, margin=MARGIN)["p95"]
        assert (difference.word, difference.further_rounds) == ("undecided", None)
        assert (difference.lower, difference.upper) == (0, math.inf)


def test_there_is_no_ratio_to_nothing_or_to_what_never_ended() -> None:
    assert paired([0.1, 0.0], [0.1, 0.1]) is None
    assert unpaired([0.1, 0.1], [math.inf, 0.1]) is None
    assert paired([], []) is None


@pytest.mark.parametrize(("log_ratio", "standard_error"), [(0.10, 0.04), (0.01, 0.02), (-0.10, 0.04)])
def test_further_rounds_like_these_decide_and_one_fewer_does_not(log_ratio: float, standard_error: float) -> None:
    more = decide({"p95": effect(log_ratio, standard_error)}, margin=MARGIN)["p95"].further_rounds
    assert more is not None

    def word(rounds: int) -> str:
        measured = effect(log_ratio, standard_error * math.sqrt(10 / rounds), rounds)
        return decide({"p95": measured}, margin=MARGIN)["p95"].word

    assert word(10 + more) != "undecided"
    assert word(9 + more) == "undecided"


def test_a_noise_floor_is_found_with_the_power_that_it_states() -> None:
    null = effect(0.0, 0.02)
    slowdown = math.log1p(detectable(null, judged=9, margin=MARGIN))
    draw = np.random.default_rng(20260101)
    rounds = slowdown + draw.normal(0, 0.02 * math.sqrt(10), (4000, 10))
    critical = float(stats.t.isf(0.01 / 9 / 2, 9))
    statistic = rounds.mean(axis=1) / (rounds.std(axis=1, ddof=1) / math.sqrt(10))
    assert np.mean(statistic > critical) == pytest.approx(0.99, abs=0.005)


def test_a_noise_floor_is_never_under_the_margin_nor_known_from_one_round() -> None:
    assert detectable(effect(0, 0), judged=9, margin=MARGIN) == pytest.approx(0.05)
    assert detectable(effect(0, math.inf, rounds=1), judged=9, margin=MARGIN) == math.inf


def test_statistics_of_a_round() -> None:
    latencies = [float(number) for number in range(100, 0, -1)]
    assert {name: statistic(latencies) for name, statistic in STATISTICS.items()} == {
        "mean": 50.5,
        "p50": 50.0,
        "p95": 95.0,
    }


def simulated(draw: np.random.Generator, runs: int, slowdown: float) -> tuple[float, float]:
    """Of runs of 10 rounds with 1,000 log-normal requests of 3 operations, how many end in each alarm.

    A round is up to some percent faster or slower as a whole than the next, for each side by itself.
    """

    def statistics(factor: float) -> dict[str, list[float]]:
        logs = draw.normal(0, 0.5, (10, 1000)) + draw.normal(math.log(factor), 0.015, (10, 1))
        requests = np.sort(np.exp(logs))
        return {"mean": list(requests.mean(axis=1)), "p50": list(requests[:, 499]), "p95": list(requests[:, 949])}

    false, found = 0, 0
    for _ in range(runs):
        effects: dict[tuple[str, str], Effect | None] = {}
        for operation in ("add", "query", "bootstrap"):
            baseline, candidate = statistics(1), statistics(1 + slowdown if operation == "query" else 1)
            effects |= {(operation, name): paired(baseline[name], candidate[name]) for name in baseline}
        words = {key: each.word for key, each in decide({k: e for k, e in effects.items() if e}, margin=MARGIN).items()}
        found += any(word == "slower" for (operation, _), word in words.items() if operation == "query")
        false += any(word in {"slower", "faster"} for (operation, _), word in words.items() if operation != "query")
    return false / runs, found / runs


@pytest.mark.slow
def test_identical_code_raises_an_alarm_in_at_most_one_run_of_a_hundred() -> None:
    false, found = simulated(np.random.default_rng(20260102), runs=200, slowdown=0)
    assert max(false, found) <= 0.01


@pytest.mark.slow
def test_a_slowdown_of_ten_percent_is_found_in_99_runs_of_a_hundred() -> None:
    false, found = simulated(np.random.default_rng(20260103), runs=200, slowdown=0.10)
    assert found >= 0.99
    assert false <= 0.01


def test_rounds_too_noisy_to_see_anything_say_so_without_an_error() -> None:
    null = Effect(log_ratio=0.1, standard_error=2.0, degrees_of_freedom=1, rounds=2)
    assert detectable(null, judged=9, margin=MARGIN) == math.inf
