"""Plans, of which those that lose an index or read a table as a whole are worse."""

from collections.abc import Iterable

from harness.judging.gate_findings.protocol import GateFinding, PairView
from harness.judging.plan_differences import PlanDifference, compare_plans
from harness.record import PlanRecord


def planned(view: PairView) -> Iterable[GateFinding]:
    for each in compare_plans(*view.plans).differing:
        if each.before is not None and each.after is not None and not _is_polled(each.after, view.polled_tables):
            is_worse = _loses_index(each)
            yield GateFinding(
                view.pair.place, each.statement, "plan", "planned", detail=each.sentence, is_worse=is_worse
            )


def _is_polled(plan: PlanRecord, polled: frozenset[str]) -> bool:
    """Its tables grow and shrink all the time, and their statistics with them."""
    return plan.root is not None and any(step.relation in polled for step in plan.root.walk())


def _loses_index(difference: PlanDifference) -> bool:
    """Whether a table is read as a whole now, or an index is used no more."""
    assert difference.before is not None
    assert difference.after is not None
    scanned = set(difference.after.scans) - set(difference.before.scans)
    return bool(scanned) or any(each.kind == "index lost" for each in difference.changes)
