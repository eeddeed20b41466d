"""Comparisons on the embedded server: of a system with itself, and with one that has a fault planted in it."""

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from harness import journal
from harness.analysis.paired import MARGIN
from harness.budget_metrics.protocol import Outcome
from harness.comparison import Comparison, compare
from harness.errors import HarnessError
from harness.record import INTERRUPTED, RunRecord, VariantRecord
from harness.recording import measure
from harness.scenario import SLICES_ADVISED, Scenario
from harness.selftest.findings import Finding, Promise
from harness.targets.planted import FAULTS

BASELINE: Final = "unchanged"
SAME: Final = "unchanged-too"
FALSE_ALARMS: Final = Promise("at most", 0.01)
FOUND: Final = Promise("at least", 0.99)

ROUNDS_PROMISED, REQUESTS_PROMISED = 10, 1_000
"""The size of a comparison from which on a slowdown over the margin is promised to be found."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: `rounds` in all, of which each comparison takes so many that follow each other."""

    rounds: int
    rounds_per_comparison: int
    requests: int


def comparisons(size: Size, seed: int) -> Iterator[Finding]:
    """Raises `HarnessError` when the server cannot be measured."""
    record = _measured(size, seed)
    blocks = [
        _rounds(record, range(first, first + size.rounds_per_comparison))
        for first in range(1, size.rounds + 1, size.rounds_per_comparison)
    ]
    subject = f"{size.rounds_per_comparison} rounds of {size.requests:,} queries on PostgreSQL"
    for name, fault in FAULTS.items():
        if name != BASELINE:
            found = [compare(block, BASELINE, name) for block in blocks]
            invalid = sum(each.outcome is Outcome.INVALID for each in found)
            if name == SAME:
                alarms = sum(map(_alarms, found))
                yield Finding(f"{subject}, A/A", "a false alarm", alarms, len(found), FALSE_ALARMS)
                yield Finding(f"{subject}, A/A", "refused, since the control differed", invalid, len(found))
            elif fault.added_statements:
                grew = sum(each.outcome is Outcome.FAIL for each in found)
                yield Finding(subject, "one statement more, found", grew, len(found), FOUND)
            else:
                slower = sum("slower" in _words(each) for each in found)
                promise = _promised(size, fault.slowdown)
                yield Finding(subject, f"{fault.slowdown:.0%} slower, found", slower, len(found), promise)


def _promised(size: Size, slowdown: float) -> Promise | None:
    """A slowdown that is no larger than the margin is none that matters; shorter comparisons are promised nothing."""
    long_enough = size.rounds_per_comparison >= ROUNDS_PROMISED and size.requests >= REQUESTS_PROMISED
    return FOUND if long_enough and slowdown > MARGIN else None


def _alarms(comparison: Comparison) -> bool:
    """A comparison that is refused says nothing of the code, so it alarms nobody."""
    return comparison.outcome is not Outcome.INVALID and bool({"slower", "faster"} & set(_words(comparison)))


def _words(comparison: Comparison) -> Sequence[str]:
    return [each.difference.word for each in comparison.metrics if each.difference]


def _measured(size: Size, seed: int) -> RunRecord:
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory) / "selftest"
        failure = measure(_scenario(size, seed), run)
        if failure is not None:
            raise failure
        record = journal.read(run / journal.FILE_NAME)
    if record.interruption == INTERRUPTED:
        raise KeyboardInterrupt
    if record.state == "partial":
        raise HarnessError(f"The self-test's run did not come to its end: {record.interruption}.")
    return record


def _scenario(size: Size, seed: int) -> Scenario:
    return Scenario.model_validate(
        {
            "name": "selftest",
            "title": "A system compared with itself, with faults planted in it",
            "target": "planted",
            "strategies": list(FAULTS),
            "baseline": BASELINE,
            "candidate": SAME,
            "control": True,
            "rounds": size.rounds,
            "slices": SLICES_ADVISED,
            "seed": seed,
            "latency": "local",
            "database": {"provisioner": "embedded"},
            "corpus": {"kind": "generated", "size": 500, "seed": seed},
            "workload": {"query": {"known_text_rate": 1.0, "distinct_texts": 50}},
            "phases": [
                {
                    "workload": "query",
                    "arrival": {"kind": "closed_loop", "users": 1},
                    "requests": size.requests,
                    "warm_up": max(20, size.requests // 20),
                    "time_s": 600,
                }
            ],
        }
    )


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
