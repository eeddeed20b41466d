"""Says how the plans of two variants differ, statement by statement: by structure, since estimates vary.

Steps are compared in the order in which EXPLAIN writes them. What is the same on both sides is matched first; of the
rest, two steps that read the same relation, or join, are one step that changed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final, Literal

from harness.judging.declaration import declaration_of
from harness.record import PlanRecord, PlanStep, RunRecord

PlanChangeKind = Literal["index lost", "index gained", "changed", "added", "removed"]
PLAN_CHANGE_KINDS: Final[tuple[PlanChangeKind, ...]] = ("index lost", "index gained", "changed", "added", "removed")
"""What can become of a step; what says the most about a statement comes first."""

READS_ALL: Final = "Seq Scan"


@dataclass(frozen=True, slots=True)
class StepChange:
    """A step of one side or of both, by its place in EXPLAIN's order, from 0."""

    kind: PlanChangeKind
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True)
class PlanDifference:
    """One statement, with what says the most first. A side that did not execute it has no plan to compare."""

    statement: str
    before: PlanRecord | None
    after: PlanRecord | None
    changes: tuple[StepChange, ...]

    @property
    def main(self) -> StepChange | None:
        return self.changes[0] if self.changes else None

    @property
    def sentence(self) -> str:
        """`Index Scan using idx_a on memories → Seq Scan on memories, and 2 more steps`; empty without a change."""
        if not self.changes:
            return ""
        first, *others = self.changes
        more = f", and {len(others)} more step{'s' if len(others) > 1 else ''}" if others else ""
        return self._said(first) + more

    def _said(self, change: StepChange) -> str:
        before, after = (
            None if place is None or record is None else label(steps(record)[place])
            for record, place in ((self.before, change.before), (self.after, change.after))
        )
        if before is None:
            return f"{after} added"
        return f"{before} removed" if after is None else f"{before} → {after}"


@dataclass(frozen=True, slots=True)
class PlanComparison:
    """Two sides by the names that a reader knows them by, and every statement that either executed, the worst first."""

    before: str
    after: str
    statements: tuple[PlanDifference, ...]

    @property
    def differing(self) -> tuple[PlanDifference, ...]:
        return tuple(each for each in self.statements if each.changes)


@dataclass(frozen=True, slots=True)
class PlanSide:
    """One variant of one run; `label` is how a reader knows it from the other side."""

    label: str
    plans: Mapping[str, PlanRecord]


def plan_side(record: RunRecord, variant: str, label: str | None = None) -> PlanSide:
    """Plans by statement; from the profiling pass where there was one, since that executed them."""
    planned = [plan for each in record.variants if each.name == variant for plan in each.plans]
    profiled = [each for each in record.statement_profiles if each.variant == variant]
    return PlanSide(label or variant, {plan.statement: plan for plan in (*planned, *profiled) if plan.root})


def compare_plans(before: PlanSide, after: PlanSide) -> PlanComparison:
    names = sorted({*before.plans, *after.plans})
    found = [_compared(name, before.plans.get(name), after.plans.get(name)) for name in names]
    return PlanComparison(before.label, after.label, tuple(sorted(found, key=_severity)))


def pair_plans(record: RunRecord) -> PlanComparison | None:
    """The run's baseline against its candidate; None where no plans were kept, or both are one."""
    pair = declaration_of(record).pair
    sides = [plan_side(record, name) for name in dict.fromkeys(pair)]
    return compare_plans(*sides) if len(sides) > 1 and any(side.plans for side in sides) else None


def _severity(difference: PlanDifference) -> tuple[bool, int, int]:
    """What both sides executed comes before what one did, and an index that is used now after all other changes."""
    one_sided = difference.before is None or difference.after is None
    if difference.main is None:
        return one_sided, 3, 0
    rank = {"index lost": 0, "index gained": 2}.get(difference.main.kind, 1)
    return one_sided, rank, -len(difference.changes)


def _compared(name: str, before: PlanRecord | None, after: PlanRecord | None) -> PlanDifference:
    changes = tuple(_changes(steps(before), steps(after))) if before and after else ()
    return PlanDifference(
        name, before, after, tuple(sorted(changes, key=lambda change: PLAN_CHANGE_KINDS.index(change.kind)))
    )


def steps(plan: PlanRecord) -> tuple[PlanStep, ...]:
    return tuple(plan.root.walk()) if plan.root else ()


def _changes(before: Sequence[PlanStep], after: Sequence[PlanStep]) -> Iterable[StepChange]:
    matcher = SequenceMatcher(None, list(map(label, before)), list(map(label, after)), autojunk=False)
    matched = matcher.get_matching_blocks()
    same_before = {block.a + offset for block in matched for offset in range(block.size)}
    same_after = {block.b + offset for block in matched for offset in range(block.size)}
    added = [place for place in range(len(after)) if place not in same_after]
    for place in [place for place in range(len(before)) if place not in same_before]:
        step = before[place]
        counterpart = next((other for other in added if _do_the_same(step, after[other])), None)
        if counterpart is None:
            yield StepChange("removed", place, None)
        else:
            added.remove(counterpart)
            yield StepChange(_kind(step, after[counterpart]), place, counterpart)
    yield from (StepChange("added", None, place) for place in added)


def _do_the_same(one: PlanStep, other: PlanStep) -> bool:
    """Read or write the same relation, join, or are of the same kind."""
    if one.relation or other.relation:
        return one.relation == other.relation
    return one.node_type == other.node_type or (_joins(one) and _joins(other))


def _joins(step: PlanStep) -> bool:
    return step.node_type in {"Nested Loop", "Hash Join", "Merge Join"}


def _kind(before: PlanStep, after: PlanStep) -> PlanChangeKind:
    if _by_index(before) and after.node_type == READS_ALL:
        return "index lost"
    return "index gained" if before.node_type == READS_ALL and _by_index(after) else "changed"


def _by_index(step: PlanStep) -> bool:
    return bool(step.index) or step.node_type == "Bitmap Heap Scan"


def label(step: PlanStep) -> str:
    """A step as EXPLAIN's text names it, without figures: `Index Scan using idx_a (hnsw) on memories`."""
    role = f"{step.role}: " if step.role else ""
    parallel = "Parallel " if step.is_parallel else ""
    details = [each for each in (step.strategy, step.join_type) if each]
    detail = f" ({', '.join(details)})" if details else ""
    method = f" ({step.access_method})" if step.access_method else ""
    using = f" using {step.index}{method}" if step.index else ""
    on = f" on {step.relation}" if step.relation else ""
    return f"{role}{parallel}{step.node_type}{detail}{using}{on}"
