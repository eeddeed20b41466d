"""The manual names what there is."""

import re
from pathlib import Path

import pytest

from harness.judging.budget_metrics import METRICS
from harness.judging.validity_checks import VALIDITY_CHECKS

MANUAL = (Path(__file__).parents[4] / "docs" / "how-to" / "budgets.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_is_in_the_manual_with_its_unit_kind_and_meaning(name: str) -> None:
    metric = METRICS[name]
    label = re.sub(r"^p[\d.]+$", "p50 … p99.9", re.sub(r"^within_\d+ms$", "within_100ms …", name))
    word = f"{metric.subject}.{label}" if metric.subject else label
    row = next(line for line in MANUAL.splitlines() if line.startswith(f"| `{word}` |"))
    assert f"| {metric.unit} | {metric.kind} |" in row
    assert metric.meaning in row


@pytest.mark.parametrize("name", sorted(VALIDITY_CHECKS))
def test_every_reason_for_invalid_is_in_the_manual_where_it_belongs(name: str) -> None:
    of_all, of_timings = MANUAL.split("These spoil timings only.")
    check = VALIDITY_CHECKS[name]
    assert f"- {check.meaning}\n" in (of_timings if check.of_timings_only else of_all)
