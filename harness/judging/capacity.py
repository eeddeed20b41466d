"""A search for a capacity, judged: the highest rate at which all budgets hold, what breaks first, and what saturated.

Pure: the record says which rates were asked for and what came of them. `CapacitySearch` steers a search that goes on
by the same reading of it, so a stored one is judged as it was when it ended.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from harness.advice import MARGIN
from harness.errors import ExitCode, UsageError, nearest
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.budgets import CAPACITY, Budget, Vocabulary, parse
from harness.judging.capacity_search import bracketed, following, is_generators, rounded
from harness.judging.declaration import Declaration, declaration_of, declare
from harness.judging.evaluation import SEVERITY
from harness.judging.rates import (
    HeldBudgets,
    JudgedRates,
    MeasuredRates,
    TriedRate,
    described,
    held_budgets,
    samples_wanted,
    tried_rates,
)
from harness.judging.saturation import saturations
from harness.quantities import number_of, percent, rate, significant
from harness.record import INTERRUPTED, AskedRate, CapacitySettings, RunRecord

STARTS_MAX: Final = 100_000
"""Requests at one rate: what is asked for faster is asked for a shorter time."""

TIME_MAX_S: Final = 120.0
"""At one rate, however few requests it has in that time."""

CapacityWord = Literal["higher", "lower", "same", "undecided"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """The capacity of one variant's phase."""

    variant: str
    """The variant's name."""
    phase: str
    """The phase whose rate was searched."""
    outcome: Outcome
    """PASS where it was found, FAIL where a budget breaks at any rate."""
    lower_per_s: float | None
    """The highest rate at which all budgets were sure to hold; None without one."""
    upper_per_s: float | None
    """The lowest at which one was sure to break; None without one."""
    breaks_first: str
    """What breaks there: a budget, or what else ends a rate; empty where nothing did."""
    sentence: str
    """What was found, in a sentence."""
    saturated: tuple[str, ...]
    """What was at its end there, as far as the run observed it."""
    tried: tuple[TriedRate, ...]
    """The rates in the order in which they were tried."""
    set_aside: Mapping[str, str]
    """The budgets that no rate was held to, each with the reason."""

    @property
    def name(self) -> str:
        return f"{self.variant}: {self.phase}"

    @property
    def curve(self) -> tuple[TriedRate, ...]:
        """By rate; where one was tried twice, the later with the former."""
        return tuple(sorted(self.tried, key=lambda each: each.rate_per_s))


@dataclass(frozen=True, slots=True)
class CapacityBudgetVerdict:
    """A budget on a capacity, and how it stands."""

    budget: str
    variant: str
    outcome: Outcome
    sentence: str
    limit_per_s: float


@dataclass(frozen=True, slots=True)
class CapacityComparison:
    """Says how many times the baseline's the candidate's capacity is, at least and at most; None: nobody can say."""

    phase: str
    baseline: str
    candidate: str
    word: CapacityWord
    outcome: Outcome
    lower: float | None
    upper: float | None
    sentence: str


@dataclass(frozen=True, slots=True)
class CapacityVerdict:
    """Says what a search came to. `remarks` are what a reader has to know beside it."""

    outcome: Outcome
    exit_code: ExitCode
    sentence: str
    capacities: tuple[Capacity, ...]
    budgets: tuple[CapacityBudgetVerdict, ...]
    comparisons: tuple[CapacityComparison, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Search:
    """What is searched of one variant's phase, and what is known until now."""

    variant: str
    phase: str
    budgets: HeldBudgets
    tried: tuple[TriedRate, ...]
    observed: tuple[AskedRate, ...]


def capacity_phases(scenario: Mapping[str, object], named: str | None) -> tuple[str, ...]:
    """The phases whose capacity is searched: the one that is named, those that budgets name, or the only one.

    Raises `UsageError` with what to say, also where a phase has no budget that a rate could break.
    """
    declared = declare(scenario)
    timed = [each.name for each in declared.phases if not each.counted_only and each.cache != "cold"]
    vocabulary = Vocabulary(declared.strategies, declared.operations, declared.planned)
    budgets = [parse(text, vocabulary) for text in declared.budgets]
    asked = [_phase_of(declared, each) for each in budgets if each.metric == CAPACITY]
    if named is not None:
        if named not in timed:
            is_there = named in declared.planned
            said = "it is asked at no rate" if is_there else "the scenario has no such phase"
            raise UsageError(f"--phase {named}: {said}. {nearest(named, timed)}")
        phases = [named]
    else:
        phases = list(dict.fromkeys(asked)) or timed
        if len(phases) > 1 and not asked:
            raise UsageError(
                f"{declared.name} has {len(phases)} phases, and each has a capacity of its own. Say which with "
                f"--phase: {', '.join(phases)}."
            )
    for phase in phases:
        if not held_budgets(declared, declared.candidate or "", phase).held:
            raise UsageError(
                f"{declared.name} has no budget that a rate of {phase} could break, so it has no capacity. State one "
                "in `budgets`, such as a p95 of its operation."
            )
    return tuple(phases)


def _phase_of(declared: Declaration, budget: Budget) -> str:
    """The phase that the subject is, or that it has to itself."""
    if budget.subject in declared.planned:
        return budget.subject
    alone = [name for name, operations in declared.planned.items() if list(operations) == [budget.subject]]
    timed = [each.name for each in declared.phases if each.name in alone and not each.counted_only]
    if not timed:
        raise UsageError(
            f"budget: {budget}\n  {budget.subject} shares each of its phases with others, so it has no capacity of its "
            "own. Name the phase instead."
        )
    return timed[0]


class CapacitySearch:
    """Steers a search that goes on. It keeps what it has judged, since nothing of it is measured again."""

    def __init__(self) -> None:
        self._judged: JudgedRates = {}

    def __call__(self, record: RunRecord) -> tuple[tuple[AskedRate, ...], tuple[str, ...]]:
        """What is to be asked next, and a sentence for each rate that has just been judged."""
        settings = _settings(record)
        number = max((each.round for each in record.rates), default=0) + 1
        searches = list(_searches(record, settings, self._judged))
        just = [each for each in searches if each.tried and number - 1 in each.tried[-1].rounds]
        asked = (_next(record, settings, search, number) for search in searches)
        remarks = (f"{each.variant}: {each.phase} at {described(each.tried[-1])}" for each in just)
        return tuple(each for each in asked if each is not None), tuple(remarks)


def _next(record: RunRecord, settings: CapacitySettings, search: _Search, number: int) -> AskedRate | None:
    """What the search asks for in this round; at its end it is observed once where a budget breaks."""
    wanted = following(search.tried, _start(record, settings, search), settings.within)
    if wanted is not None:
        time_s = _time_s(settings, search.budgets, wanted.rate_per_s)
        return _asked(search, number, wanted.rate_per_s, time_s, wanted.purpose)
    breaking = [each.rate_per_s for each in search.tried if each.word == "breaks"]
    if search.observed or not breaking:
        return None
    time_s = min(settings.time_s, _time_s(settings, search.budgets, min(breaking)))
    return _asked(search, number, min(breaking), time_s, "observe")


def _asked(
    search: _Search, number: int, rate_per_s: float, time_s: float, purpose: Literal["search", "confirm", "observe"]
) -> AskedRate:
    return AskedRate(
        variant=search.variant,
        phase=search.phase,
        round=number,
        rate_per_s=rate_per_s,
        time_s=time_s,
        purpose=purpose,
    )


def _settings(record: RunRecord) -> CapacitySettings:
    assert record.capacity is not None, "it is the record of a search"
    return record.capacity


def _searches(record: RunRecord, settings: CapacitySettings, judged: JudgedRates) -> Iterator[_Search]:
    declared, measured = declaration_of(record), MeasuredRates(record)
    for phase in settings.phases:
        for variant in declared.strategies:
            budgets = held_budgets(declared, variant, phase)
            observed = tuple(
                each
                for each in record.rates
                if (each.variant, each.phase, each.purpose) == (variant, phase, "observe")
                and measured.was_measured(each)
            )
            yield _Search(
                variant, phase, budgets, tuple(tried_rates(measured, budgets, variant, phase, judged)), observed
            )


def _start(record: RunRecord, settings: CapacitySettings, search: _Search) -> float:
    """The limit of its capacity, so that its budget is decided whatever the rates beyond it come to."""
    limits = [budget.limit.value() for budget in _capacity_budgets(record, search.variant, search.phase)]
    if settings.start_per_s is not None:
        return settings.start_per_s
    return max(limits) if limits else rounded(samples_wanted(search.budgets) / settings.time_s)


def _capacity_budgets(record: RunRecord, variant: str, phase: str) -> list[Budget]:
    """Those on the capacity of this variant's phase; where a budget names no variant it is the candidate's."""
    declared = declaration_of(record)
    budgets = [each for each in map(parse, declared.budgets) if each.metric == CAPACITY]
    return [
        each
        for each in budgets
        if (each.variant or declared.candidate) == variant and _phase_of(declared, each) == phase
    ]


def _time_s(settings: CapacitySettings, budgets: HeldBudgets, rate_per_s: float) -> float:
    enough_s = min(samples_wanted(budgets) / rate_per_s, TIME_MAX_S)
    return min(max(settings.time_s, enough_s), STARTS_MAX / rate_per_s)


def judge_capacity(record: RunRecord) -> CapacityVerdict:
    """Judges a search, also one that was cut off. Raises `UsageError` for budgets that cannot be read."""
    settings = _settings(record)
    capacities = tuple(_capacity(record, search) for search in _searches(record, settings, {}))
    budgets = tuple(
        _budget_verdict(budget, capacity)
        for capacity in capacities
        for budget in _capacity_budgets(record, capacity.variant, capacity.phase)
    )
    comparisons = tuple(_comparisons(record, capacities)) if settings.compared else ()
    budgeted = {
        (each.variant, each.phase) for each in capacities for budget in budgets if budget.variant == each.variant
    }
    outcomes = [
        *(each.outcome for each in budgets),
        *(each.outcome for each in comparisons),
        *(each.outcome for each in capacities if (each.variant, each.phase) not in budgeted),
    ]
    outcome = next((each for each in SEVERITY if each in outcomes), Outcome.PASS)
    cut_off = f"The search was cut off ({record.interruption}): " if record.interruption else ""
    if cut_off and outcome is not Outcome.FAIL:
        outcome = Outcome.INVALID
    return CapacityVerdict(
        outcome=outcome,
        exit_code=ExitCode.INTERRUPTED if record.interruption == INTERRUPTED else ExitCode[outcome.name],
        sentence=cut_off + _sentence(capacities, budgets, comparisons),
        capacities=capacities,
        budgets=budgets,
        comparisons=comparisons,
        remarks=tuple(_remarks(capacities)),
    )


def _capacity(record: RunRecord, search: _Search) -> Capacity:
    confirmed = [each for each in search.tried if each.purpose == "confirm"]
    lower = max((each.rate_per_s for each in confirmed if each.word == "holds"), default=None)
    breaking = min(
        (each for each in confirmed if each.word == "breaks"), key=lambda each: each.rate_per_s, default=None
    )
    upper = breaking.rate_per_s if breaking else None
    outcome, sentence = _found(search, lower, breaking)
    return Capacity(
        variant=search.variant,
        phase=search.phase,
        outcome=outcome,
        lower_per_s=lower,
        upper_per_s=upper,
        breaks_first=breaking.by if breaking else "",
        sentence=sentence,
        saturated=_saturated(record, search, upper),
        tried=search.tried,
        set_aside=search.budgets.set_aside,
    )


def _found(search: _Search, lower: float | None, breaking: TriedRate | None) -> tuple[Outcome, str]:
    if lower is not None and breaking is not None:
        if breaking.rate_per_s <= lower:
            return Outcome.UNDECIDED, (
                f"{rate(breaking.rate_per_s)} broke ({breaking.sentence}) and {rate(lower)} held: the system, or the "
                "machine, is not the same from minute to minute. Search again where nothing else runs."
            )
        return Outcome.PASS, (
            f"All budgets hold at {rate(lower)}, and at {rate(breaking.rate_per_s)} one breaks: {breaking.sentence}."
        )
    searched = [each for each in search.tried if each.purpose == "search"]
    if not searched:
        return Outcome.INVALID, f"No rate of {search.phase} was measured."
    bracket = bracketed(searched)
    if breaking is not None and bracket.held_per_s is None:
        return Outcome.FAIL, f"Not even {rate(breaking.rate_per_s)} holds: {breaking.sentence}."
    other = bracket.other_per_s
    if breaking is None and (other is None or is_generators(searched, other)):
        return Outcome.INVALID, _out_of_reach(searched, lower, other)
    return Outcome.UNDECIDED, _unsure(search, lower, breaking)


def _out_of_reach(searched: Sequence[TriedRate], lower: float | None, other: float | None) -> str:
    """What could be sent, and why no more."""
    reached = f"All budgets hold at {rate(lower)}" if lower is not None else "No rate could be measured"
    if other is None:
        return f"{reached}, and nothing breaks up to {rate(searched[-1].rate_per_s)}. No faster requests are sent."
    why = next(each for each in searched if each.rate_per_s == other and each.word == "invalid")
    if not why.is_generators:
        return f"{reached}. Nothing beyond could be measured: at {rate(other)} {why.sentence}."
    return f"{reached}, and the load generator could not send more: at {rate(other)} {why.sentence}."


def _unsure(search: _Search, lower: float | None, breaking: TriedRate | None) -> str:
    """What is known of one side, or of none, and which rate stayed open last."""
    last, tries = search.tried[-1], sum(each.purpose == "confirm" for each in search.tried)
    known = "no rate is sure"
    if lower is not None:
        known = f"all budgets hold at {rate(lower)}, and no rate is sure to break one"
    elif breaking is not None:
        known = f"one breaks at {rate(breaking.rate_per_s)}, and no rate is sure to hold all"
    return (
        f"After {number_of(tries, 'rate')} that were to confirm it, {known}: {rate(last.rate_per_s)} came out "
        f"{last.word} ({last.sentence}). Ask for longer, with --seconds."
    )


def _saturated(record: RunRecord, search: _Search, upper: float | None) -> tuple[str, ...]:
    """By what was observed at the rates that broke and lie nearest to the capacity."""
    measured = MeasuredRates(record)
    broke = [each for each in search.tried if each.word == "breaks"]
    if not broke:
        return ()
    lowest = min(each.rate_per_s for each in broke if upper is None or each.rate_per_s == upper)
    rounds = {number for each in broke if each.rate_per_s == lowest for number in each.rounds}
    asked = [
        each
        for each in record.rates
        if (each.variant, each.phase) == (search.variant, search.phase)
        and (each.round in rounds or each in search.observed)
        and measured.was_measured(each)
    ]
    return saturations(record, measured.part(asked)) if asked else ()


def _budget_verdict(budget: Budget, capacity: Capacity) -> CapacityBudgetVerdict:
    limit, lower, upper = budget.limit.value(), capacity.lower_per_s, capacity.upper_per_s
    contradicted = lower is not None and upper is not None and upper <= lower
    if lower is not None and lower >= limit and not contradicted:
        outcome, said = Outcome.PASS, f"All other budgets hold at {rate(lower)} ≥ {rate(limit)}."
    elif upper is not None and upper <= limit and not contradicted:
        outcome, said = (
            Outcome.FAIL,
            f"{rate(upper)} ≤ {rate(limit)} is too much already: {capacity.breaks_first} breaks.",
        )
    elif capacity.outcome is Outcome.INVALID:
        outcome, said = Outcome.INVALID, f"Cannot be judged: {capacity.sentence}"
    else:
        outcome, said = Outcome.UNDECIDED, capacity.sentence
    return CapacityBudgetVerdict(str(budget), capacity.variant, outcome, said, limit)


def _comparisons(record: RunRecord, capacities: Sequence[Capacity]) -> Iterator[CapacityComparison]:
    declared = declaration_of(record)
    for phase in dict.fromkeys(each.phase for each in capacities):
        found = {each.variant: each for each in capacities if each.phase == phase}
        if declared.baseline in found and declared.candidate in found and declared.baseline != declared.candidate:
            yield _compared(found[declared.baseline], found[declared.candidate])


def _compared(baseline: Capacity, candidate: Capacity) -> CapacityComparison:
    """By the ends of both intervals: the least ratio is of the candidate's lower end and the baseline's upper one."""
    lower = _ratio(candidate.lower_per_s, baseline.upper_per_s)
    upper = _ratio(candidate.upper_per_s, baseline.lower_per_s)
    word: CapacityWord = "undecided"
    if lower is not None and lower > 1:
        word = "higher"
    elif upper is not None and upper < 1:
        word = "lower"
    elif lower is not None and upper is not None and lower >= 1 - MARGIN and upper <= 1 + MARGIN:
        word = "same"
    outcome = {"higher": Outcome.PASS, "same": Outcome.PASS, "lower": Outcome.FAIL, "undecided": Outcome.UNDECIDED}[
        word
    ]
    bounds = f"{significant(lower)} to {significant(upper)} times" if lower is not None and upper is not None else ""
    said = {
        "higher": f"{candidate.variant} has the higher capacity",
        "lower": f"{candidate.variant} has the lower capacity",
        "same": f"The capacities differ by less than {percent(MARGIN)}",
        "undecided": "Which capacity is higher is undecided",
    }[word]
    return CapacityComparison(
        candidate.phase,
        baseline.variant,
        candidate.variant,
        word,
        outcome,
        lower,
        upper,
        f"{said}{f': {bounds} that of {baseline.variant}' if bounds else ''}.",
    )


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _sentence(
    capacities: Sequence[Capacity],
    budgets: Sequence[CapacityBudgetVerdict],
    comparisons: Sequence[CapacityComparison],
) -> str:
    if len(capacities) == 1:
        found = [capacities[0].sentence]
    else:
        found = [f"{each.name}: {_shortly(each)}" for each in capacities]
    judged = (f"{each.budget}: {each.outcome}." for each in budgets)
    return " ".join((*judged, *(each.sentence for each in comparisons), *found))


def _shortly(capacity: Capacity) -> str:
    if capacity.outcome is not Outcome.PASS:
        return capacity.sentence
    return f"holds at {rate(capacity.lower_per_s)}, breaks at {rate(capacity.upper_per_s)}."


def _remarks(capacities: Sequence[Capacity]) -> Iterator[str]:
    for each in capacities:
        if each.breaks_first and each.outcome is Outcome.PASS:
            what = (
                "; ".join(each.saturated) or "nothing that the run observes, so requests wait within the target itself"
            )
            yield f"{each.name}: at its end there: {what}."
    aside = {f"{text} ({why})" for each in capacities for text, why in each.set_aside.items()}
    if aside:
        yield f"No rate was held to: {'; '.join(sorted(aside))}."
