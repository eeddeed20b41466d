"""Series of runs that are alike, and where counters changed; how times change is Otava's business."""

import sys
from datetime import UTC, datetime, timedelta

import pytest

from harness.commands.history.entries import HistoryEntry
from harness.commands.history.trends import ChangePoint, alike, counter_changes, series_of, time_changes
from harness.errors import UsageError


def entries(*values: float, scenario: str = "shop", circumstances: str = "here", day: int = 1) -> list[HistoryEntry]:
    """One run a day, each with this p95, in seconds, and as many statements as milliseconds."""
    return [
        HistoryEntry(
            run_id=f"{scenario}-{circumstances}-{number}",
            started_at=datetime(2026, 1, day, tzinfo=UTC) + timedelta(days=number),
            revision=None,
            scenario=scenario,
            outcome="PASS",
            circumstances=circumstances,
            place="somewhere",
            metrics={"batched": {"query": {"p95_s": value, "statements": value * 1000}}},
        )
        for number, value in enumerate(values)
    ]


def test_unlike_runs_are_kept_apart_and_the_newest_group_comes_last() -> None:
    groups = alike([*entries(0.1, day=9), *entries(0.1, circumstances="there"), *entries(0.1, scenario="other", day=5)])
    assert [(group[0].scenario, group[0].circumstances) for group in groups] == [
        ("shop", "there"),
        ("other", "here"),
        ("shop", "here"),
    ]


def test_a_series_holds_one_metric_oldest_first() -> None:
    (series,) = series_of(entries(0.3, 0.2), "*.p95_s")
    assert (series.name, series.values) == ("batched.query.p95_s", (0.3, 0.2))
    assert [each.name for each in series_of(entries(0.1))] == ["batched.query.p95_s", "batched.query.statements"]
    assert series_of(entries(0.1), "naive.*") == ()


def test_a_run_without_the_metric_is_not_in_the_series() -> None:
    lacking = entries(0.1, day=3)[0].model_copy(update={"metrics": {"batched": {"query": {"p95_s": 0.5}}}})
    found = {series.metric: series.values for series in series_of([*entries(0.3), lacking])}
    assert found == {"p95_s": (0.3, 0.5), "statements": (300.0,)}


@pytest.mark.parametrize(
    ("values", "changes"),
    [
        ([], []),
        ([3], []),
        ([3, 3, 3], []),
        ([3, 4], []),
        ([3, 3, 4, 4, 4], [ChangePoint(2, 3, 4)]),
        ([3, 3, 4, 4, 2], [ChangePoint(2, 3, 4), ChangePoint(4, 4, 2)]),
        ([240, 244, 241, 247], []),
    ],
)
def test_a_counter_that_stood_still_and_moves_has_changed(values: list[float], changes: list[ChangePoint]) -> None:
    assert list(counter_changes(values)) == changes


def test_a_change_is_told_as_a_share_unless_it_began_at_nothing() -> None:
    assert ChangePoint(1, before=4, after=5).ratio == 0.25
    assert ChangePoint(1, before=0, after=5).ratio is None


def test_without_otava_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "otava.analysis", None)
    with pytest.raises(UsageError, match=r"pip install 'anima-harness\[history\] @ git"):
        time_changes([0.1] * 10)
