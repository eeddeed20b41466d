"""Comparisons on the embedded server: of a system with itself, and with one that has a fault planted in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from harness.advice import MARGIN, SLICES_ADVISED
from harness.commands.selftest.findings import Finding, Promise
from harness.commands.selftest.measured import BASELINE, measured, scenario
from harness.judging.budget_metrics.protocol import Outcome
from harness.judging.comparison import Comparison, compare
from harness.measuring.targets.planted import FAULTS, Fault
from harness.record import RunRecord, VariantRecord

SAME: Final = "unchanged-too"
PLANTED: Final = ("slower-5", "slower-10", "slower-20", "statement-more")
FALSE_ALARMS: Final = Promise("at most", 0.01)
FOUND: Final = Promise("at least", 0.99)

ROUNDS_PROMISED, REQUESTS_PROMISED = 10, 1_000
"""The size of a comparison from which on a slowdown over the margin is promised to be found."""

REQUESTS_PER_SLICE: Final = REQUESTS_PROMISED // SLICES_ADVISED


@dataclass(frozen=True, slots=True)
class ServedSize:
    """Says how much is measured: comparisons in one run, of rounds that follow each other."""

    comparisons: int
    rounds_per_comparison: int
    requests: int


def comparisons(size: ServedSize, seed: int) -> Iterator[Finding]:
    """Raises `HarnessError` when the server cannot be measured."""
    rounds = size.comparisons * size.rounds_per_comparison
    settings = {"rounds": rounds, "slices": max(size.requests // REQUESTS_PER_SLICE, 1)}
    record = measured(scenario((SAME, *PLANTED), size.requests, seed, settings))
    blocks = [
        _rounds(record, range(first, first + size.rounds_per_comparison))
        for first in range(1, rounds + 1, size.rounds_per_comparison)
    ]
    subject = f"{size.rounds_per_comparison} rounds of {size.requests:,} queries on PostgreSQL"
    for name in (SAME, *PLANTED):
        fault = FAULTS[name]
        found = [compare(block, BASELINE, name) for block in blocks]
        invalid = sum(each.outcome is Outcome.INVALID for each in found)
        if name == SAME:
            alarms = sum(map(_alarms, found))
            yield Finding(f"{subject}, A/A", "a false alarm", alarms, len(found), FALSE_ALARMS)
            yield Finding(f"{subject}, A/A", "refused, since the control differed", invalid, len(found))
        else:
            what = f"{fault.slowdown:.0%} slower" if fault.slowdown else "one statement more"
            failed = sum(each.outcome is Outcome.FAIL for each in found)
            yield Finding(subject, f"{what}, found", failed, len(found), _promised(size, fault))


def _promised(size: ServedSize, fault: Fault) -> Promise | None:
    """A slowdown by no more than the margin is none that matters; shorter comparisons are promised counts only."""
    long_enough = size.rounds_per_comparison >= ROUNDS_PROMISED and size.requests >= REQUESTS_PROMISED
    return FOUND if fault.added_statement or (long_enough and fault.slowdown > MARGIN) else None


def _alarms(comparison: Comparison) -> bool:
    """A comparison that is refused says nothing of the code, so it alarms nobody."""
    return comparison.outcome is not Outcome.INVALID and bool({"slower", "faster"} & set(_words(comparison)))


def _words(comparison: Comparison) -> Sequence[str]:
    return [each.difference.word for each in comparison.metrics if each.difference]


def _rounds(record: RunRecord, numbers: range) -> RunRecord:
    """The run as if it had had only these rounds."""
    return record.model_copy(update={"variants": tuple(_rounds_of(variant, numbers) for variant in record.variants)})


def _rounds_of(variant: VariantRecord, numbers: range) -> VariantRecord:
    return variant.model_copy(
        update={
            "samples": tuple(sample for sample in variant.samples if sample.round in numbers),
            "phases": tuple(phase for phase in variant.phases if phase.round in numbers),
        }
    )
