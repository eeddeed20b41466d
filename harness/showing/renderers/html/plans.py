"""The plans of two sides as nested lists: what differs is said in words, and coloured."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count as counting

from harness.judging.plan_differences import PlanComparison, PlanDifference, label
from harness.quantities import count, duration
from harness.record import PlanRecord, PlanStep
from harness.showing.plan_tables import CHANGE_TONES, CHANGE_WORDS
from harness.showing.tables import Tone, printable

Marks = Mapping[int, tuple[str, Tone]]
"""What became of steps, by their place in EXPLAIN's order."""


@dataclass(frozen=True, slots=True)
class DrawnStep:
    text: str
    figures: str
    word: str
    tone: Tone
    steps: tuple["DrawnStep", ...]


@dataclass(frozen=True, slots=True)
class DrawnSide:
    """`root` is None where this side did not execute the statement."""

    label: str
    root: DrawnStep | None


@dataclass(frozen=True, slots=True)
class DrawnPlan:
    """One statement on the page; `sentence` is empty where the plans are the same."""

    statement: str
    word: str
    tone: Tone
    sentence: str
    sides: tuple[DrawnSide, DrawnSide]


def drawn_plans(plans: PlanComparison | None) -> list[DrawnPlan]:
    return [_drawn_plan(each, plans.before, plans.after) for each in plans.statements] if plans else []


def _drawn_plan(difference: PlanDifference, before: str, after: str) -> DrawnPlan:
    main = difference.main
    of_before: dict[int, tuple[str, Tone]] = {}
    of_after: dict[int, tuple[str, Tone]] = {}
    for change in difference.changes:
        tone = CHANGE_TONES[change.kind]
        if change.before is not None:
            of_before[change.before] = ("removed" if change.after is None else "changed", tone)
        if change.after is not None:
            of_after[change.after] = (CHANGE_WORDS[change.kind], tone)
    return DrawnPlan(
        printable(difference.statement),
        CHANGE_WORDS[main.kind] if main else _unchanged(difference, before, after),
        CHANGE_TONES[main.kind] if main else "muted",
        printable(difference.sentence),
        (_side(difference.before, before, of_before), _side(difference.after, after, of_after)),
    )


def _unchanged(difference: PlanDifference, before: str, after: str) -> str:
    if difference.before and difference.after:
        return "the same"
    return f"only {printable(before if difference.before else after)}"


def _side(plan: PlanRecord | None, name: str, marks: Marks) -> DrawnSide:
    return DrawnSide(printable(name), _step(plan.root, counting(), marks) if plan and plan.root else None)


def _step(step: PlanStep, places: Iterator[int], marks: Marks) -> DrawnStep:
    word, tone = marks.get(next(places), ("", "plain"))
    below = tuple(_step(each, places, marks) for each in step.steps)
    return DrawnStep(printable(label(step)), _figures(step), word, tone, below)


def _figures(step: PlanStep) -> str:
    estimated = f"{count(step.rows_estimated)} rows estimated"
    omitted = f"; {count(step.omitted)} steps below are left out" if step.omitted else ""
    done = step.executed
    if done is None:
        return estimated + omitted
    loops = f" in {count(done.loops)} loops" if done.loops > 1 else ""
    time, blocks = duration(done.elapsed_ms / 1000), count(done.blocks)
    return f"{count(done.rows)} rows{loops} ({estimated}), {time}, {blocks} blocks{omitted}"
