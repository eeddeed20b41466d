"""A target that answers although its database refused what it was sent has been timed at failing.

Judged by phase, against answers that show nothing: where a scenario expects something of an answer, or the target tells
what it found, that was looked at. A target that does without what failed, and says so truly, is told from one that
swallows its errors by nothing but that.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

from harness.judging.columns import Columns
from harness.quantities import count, number_of
from harness.record import PhaseRecord, RunRecord, VariantRecord
from harness.samples import Traits

SHOWING: Final = ("json", "rows", "columns")
"""What an expectation says of an answer beside its status."""


class SwallowedErrors:
    of_timings_only = False
    meaning = (
        "At least as many statements failed in a phase as requests were answered, none of whose answers was looked at."
    )

    def objections(self, record: RunRecord) -> Iterator[str]:
        for variant in record.variants:
            for phase in variant.phases:
                if objection := _objection(record, variant, phase):
                    yield objection


def _objection(record: RunRecord, variant: VariantRecord, phase: PhaseRecord) -> str:
    if not phase.counters.get("failed_statements"):
        return ""
    samples = Columns.of(variant.samples).select(lambda each: (each.phase, each.round) == (phase.name, phase.round))
    answered = samples.answered
    failed = len(samples) - len(answered)
    unsaid = phase.counters["failed_statements"] - failed
    if not len(answered) or unsaid < len(answered) or any(_is_shown(record, each) for each in answered.tally()):
        return ""
    return (
        f"the database refused {number_of(int(unsaid + failed), 'statement')} in {phase.name} of {variant.name}, round "
        f"{phase.round}, and the target reported {count(len(answered))} of {number_of(len(samples), 'request')} as "
        "answered: it swallows its errors. Have it report them, or state in `expect` what a right answer holds"
    )


def _is_shown(record: RunRecord, traits: Traits) -> bool:
    if traits.rows is not None or traits.results is not None:
        return True
    operations = record.scenario.get("operations")
    if not isinstance(operations, Mapping):
        return False
    operation = cast("Mapping[str, Any]", operations).get(traits.operation)
    expected = cast("Mapping[str, Any]", operation).get("expect") if isinstance(operation, Mapping) else None
    return isinstance(expected, Mapping) and any(
        cast("Mapping[str, object]", expected).get(key) is not None for key in SHOWING
    )
