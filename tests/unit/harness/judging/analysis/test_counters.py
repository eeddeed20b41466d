import pytest

from harness.judging.analysis.counters import compare_counts


@pytest.mark.parametrize(
    ("baseline", "candidate", "change", "exact"),
    [
        ([3, 3], [3, 3], "same", True),
        ([3, 3], [4, 4], "grew", True),
        ([232], [3], "shrank", True),
        ([3.0, 3.0], [3.005, 3.005], "grew", True),
        ([232, 235, 233], [232, 233, 235], "same", False),
        ([232, 235, 233], [236, 237, 238], "varies", False),
        ([232, 235], [232, 232], "varies", False),
    ],
)
def test_change(baseline: list[float], candidate: list[float], change: str, exact: bool) -> None:
    found = compare_counts(baseline, candidate)
    assert (found.change, found.exact) == (change, exact)


def test_counts_that_vary_differ_where_enough_rounds_lie_apart() -> None:
    baseline = [232.0, 235.0, 233.0, 232.0, 234.0, 233.0, 232.0, 235.0]
    apart = compare_counts(baseline, [count + 4 for count in baseline])
    assert apart.change == "grew"
    assert apart.candidate - apart.baseline == pytest.approx(4)
    assert compare_counts(baseline, [count - 4 for count in baseline]).change == "shrank"
    assert compare_counts(baseline, [count + 1 for count in baseline]).change == "varies"
