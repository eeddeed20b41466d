"""Says what both sides of a comparison came to: the requests, and the phases, that can be held against each other."""

from collections import defaultdict
from collections.abc import Sequence

from harness.record import PhaseRecord, VariantRecord
from harness.samples import Sample

ComparedRounds = Sequence[Sequence[Sample]]
MetricKey = tuple[str, str]
"""An operation and what is measured of it; of a phase likewise."""

PhaseKey = tuple[str, str]
"""A phase and an operation in it."""


def common_requests(variants: Sequence[VariantRecord], *, share_rounds: bool) -> dict[str, Sequence[ComparedRounds]]:
    """By operation and variant, the rounds, cut to the requests that each variant came to in all of its rounds."""
    found: defaultdict[str, list[dict[int, list[Sample]]]] = defaultdict(lambda: [{} for _ in variants])
    grouped = [by_phase(variant) for variant in variants]
    for phase, operation in [key for key in grouped[0] if all(key in each for each in grouped)]:
        rounds = [each[phase, operation] for each in grouped]
        if share_rounds:
            shared = set[int].intersection(*map(set, rounds))
            rounds = [{number: each[number] for number in sorted(shared)} for each in rounds]
        requests = min((len(samples) for each in rounds for samples in each.values()), default=0)
        for variant, each in zip(found[operation], rounds, strict=True):
            for number, samples in each.items():
                variant.setdefault(number, []).extend(samples[:requests])
    return {
        operation: [list(each.values()) for each in variants] for operation, variants in found.items() if all(variants)
    }


def by_phase(variant: VariantRecord) -> dict[PhaseKey, dict[int, list[Sample]]]:
    """Phase and operation to rounds to samples, in the order in which the workload asks for them."""
    grouped: dict[PhaseKey, dict[int, list[Sample]]] = {}
    for sample in sorted(variant.samples, key=lambda sample: (sample.round, sample.intended_s)):
        grouped.setdefault((sample.phase, sample.operation), {}).setdefault(sample.round, []).append(sample)
    return grouped


def common_phases(
    variants: Sequence[VariantRecord], *, share_rounds: bool
) -> dict[str, Sequence[Sequence[PhaseRecord]]]:
    """By phase and variant, its rounds; only of phases in which everybody sent as many requests in each round."""
    found: dict[str, Sequence[Sequence[PhaseRecord]]] = {}
    for name in dict.fromkeys(phase.name for phase in variants[0].phases):
        rounds = [{phase.round: phase for phase in variant.phases if phase.name == name} for variant in variants]
        if share_rounds:
            shared = set[int].intersection(*map(set, rounds))
            rounds = [{number: each[number] for number in sorted(shared)} for each in rounds]
        sent = {phase.started for each in rounds for phase in each.values()}
        if all(rounds) and len(sent) == 1:
            found[name] = [list(each.values()) for each in rounds]
    return found
