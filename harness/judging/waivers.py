"""Accepted regressions: which budget or figure may fail, until when, for what reason, and who answers for it.

Pure. A waiver is held to what it says as a budget is: it ends on its day, it accepts no more than it states, and one
that is not needed fails, so that the file stays true. What could not be shown either way is never accepted by it.
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Annotated, Final, Self, assert_never

from pydantic import StringConstraints, model_validator

from harness.errors import UsageError, nearest
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import Budget, parse
from harness.record import Frozen

SHARE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%")
Stated = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Waiver(Frozen):
    """One accepted regression, of a budget of a scenario or of a figure that comparisons and gates compare.

    `up_to` is the worst that it accepts: another limit of the budget, or by what share a figure may be worse; None
    accepts anything. It holds for runs that start on the day `expires` or before, in UTC.
    """

    scenario: Stated
    budget: Stated | None = None
    figure: Stated | None = None
    up_to: Stated | None = None
    reason: Stated
    owner: Stated
    expires: date

    @model_validator(mode="after")
    def _is_of_one_thing(self) -> Self:
        if (self.budget is None) == (self.figure is None):
            raise ValueError("state `budget`, or `figure` of a comparison or gate, and not both")
        return self

    @property
    def subject(self) -> str:
        """Names what is accepted as reports do."""
        if self.budget is not None:
            return str(parse(self.budget))
        return self.figure or ""

    @property
    def accepted(self) -> Budget | None:
        """The budget with the limit that is accepted in place of its own. Raises `UsageError` for none that can be."""
        if self.budget is None or self.up_to is None:
            return None
        stated = parse(self.budget)
        if stated.limit.comparator == "uses":
            raise UsageError(f"{self.subject}: up_to: a plan has no size. Leave it out.")
        variant = f"{stated.variant}: " if stated.variant else ""
        accepted = parse(f"{variant}{stated.name} {stated.limit.comparator} {self.up_to}")
        if not stated.limit.variables | accepted.limit.variables:
            looser = accepted.limit.value() - stated.limit.value()
            if (looser if stated.limit.comparator == "<=" else -looser) <= 0:
                raise UsageError(f"{self.subject}: up_to {self.up_to} accepts nothing that the budget does not.")
        return replace(accepted, abort_after_s=stated.abort_after_s)

    @property
    def accepted_share(self) -> float | None:
        """By what share a figure may be worse. Raises `UsageError` for what is no share."""
        if self.figure is None or self.up_to is None:
            return None
        found = SHARE.fullmatch(self.up_to)
        if found is None:
            raise UsageError(f"{self.subject}: up_to {self.up_to}: of a figure it is a share, such as 30%.")
        return float(found[1]) / 100


@dataclass(frozen=True, slots=True)
class Standing:
    """Says what an outcome is with its waiver, and why."""

    outcome: Outcome
    sentence: str


Waivers = Mapping[str, Waiver]
"""Of one scenario, by what each accepts."""

NO_WAIVERS: Final[Waivers] = MappingProxyType({})


def of_budgets(waivers: Iterable[Waiver], scenario: str) -> Waivers:
    return {each.subject: each for each in waivers if each.budget is not None and each.scenario == scenario}


def of_figures(waivers: Iterable[Waiver], scenario: str) -> Waivers:
    return {each.subject: each for each in waivers if each.figure is not None and each.scenario == scenario}


def new_since(waivers: Iterable[Waiver], base: Collection[Waiver]) -> tuple[Waiver, ...]:
    """Those that the base has not: what the others accepted is in the base, so nothing is worse than that."""
    return tuple(each for each in waivers if each not in base)


def day_of(started_at: datetime) -> date:
    return started_at.astimezone(UTC).date()


def refuse_unknown_budgets(
    waivers: Iterable[Waiver], scenario: str, budgets: Sequence[str], variants: Collection[str]
) -> None:
    """Raises `UsageError` for a waiver of a budget that the scenario lacks; one of a variant that is not run waits."""
    known = [str(parse(text)) for text in budgets]
    for name, waiver in of_budgets(waivers, scenario).items():
        variant = parse(name).variant
        if name not in known and (variant is None or variant in variants):
            raise unknown(waiver, known, "budget")


def unknown(waiver: Waiver, known: Sequence[str], word: str) -> UsageError:
    near = nearest(waiver.subject, known) if known else f"It has no {word}."
    return UsageError(
        f"A waiver by {waiver.owner} is of {waiver.subject!r}, and {waiver.scenario} has no such {word}. {near} "
        "Correct the waiver, or remove it."
    )


def standing(
    waiver: Waiver, outcome: Outcome, on: date, *, accepted: Outcome = Outcome.PASS, for_sure: bool = True
) -> Standing:
    """Says what an outcome is with its waiver on this day.

    `accepted` is the outcome by what the waiver accepts, and `for_sure` says that a PASS is not owed to chance.
    """
    by = f"waiver by {waiver.owner}"
    match outcome:
        case Outcome.UNDECIDED | Outcome.INVALID:
            return Standing(outcome, f"Its {by} does not count: that accepts what is shown to fail.")
        case Outcome.PASS if not for_sure:
            return Standing(outcome, f"Its {by} may stay: by so little it may fail again.")
        case Outcome.PASS:
            return Standing(Outcome.FAIL, f"It holds, so its {by} is not needed any more: remove that.")
        case Outcome.FAIL if on > waiver.expires:
            return Standing(outcome, f"Its {by} ended on {waiver.expires}: mend it, or waive it with another date.")
        case Outcome.FAIL:
            return _accepted(waiver, accepted)
        case Outcome.WAIVED | Outcome.PASS_WITH_WAIVERS:
            raise AssertionError("nothing is waived twice")
        case _:
            assert_never(outcome)


def _accepted(waiver: Waiver, accepted: Outcome) -> Standing:
    by = f"its waiver by {waiver.owner} accepts: up to {waiver.up_to}"
    if accepted is Outcome.PASS:
        limit = f", up to {waiver.up_to}" if waiver.up_to else ""
        return Standing(
            Outcome.WAIVED, f"Waived by {waiver.owner} until {waiver.expires}{limit}: {waiver.reason.rstrip('.')}."
        )
    if accepted is Outcome.FAIL:
        return Standing(Outcome.FAIL, f"It is worse than {by}.")
    return Standing(accepted, f"Nobody can say yet whether it is within what {by}.")
