"""A part of a scenario: some of its phases, or some of its operations."""

from collections.abc import Sequence

from harness.errors import UsageError, nearest
from harness.measuring.scenario import Phase, Scenario


def part_of(scenario: Scenario, phases: Sequence[str], operations: Sequence[str]) -> Scenario:
    """With these phases alone, and in them these operations; all of them where none is named. Raises `UsageError`."""
    if not phases and not operations:
        return scenario
    timed = [each.name for each in scenario.phases if each.is_timed]
    for name in phases:
        _refuse_unknown("--phase", name, "phase", timed)
    for name in operations:
        _refuse_unknown("--only", name, "operation", scenario.operation_names)
    kept = [each for each in scenario.phases if each.is_timed and (not phases or each.name in phases)]
    kept = [narrowed for each in kept for narrowed in _narrowed(scenario, each, operations)]
    if not kept:
        asked = ", ".join(phases)
        raise UsageError(f"--only {', '.join(operations)}: it is not asked in {asked}. Name another phase, or none.")
    performed = {name for each in kept for name in scenario.shares(each)}
    # What is counted alone stays for the operations that are there.
    counted = [each for each in scenario.phases if not each.is_timed and performed.issuperset(scenario.shares(each))]
    names = {each.name for each in kept}
    changed = {
        "title": f"{scenario.title}, only {', '.join([*phases, *operations])}",
        "phases": (*kept, *counted),
        "timeline": tuple(entry for entry in scenario.timeline if entry.phase in names),
    }
    return scenario.model_copy(update=changed)


def _refuse_unknown(option: str, name: str, what: str, known: Sequence[str]) -> None:
    if name not in known:
        raise UsageError(f"{option} {name}: the scenario has no {what} of that name. {nearest(name, known)}")


def _narrowed(scenario: Scenario, phase: Phase, operations: Sequence[str]) -> Sequence[Phase]:
    """The phase with these operations alone, several in one of its own each; none where it asks others."""
    performed = scenario.shares(phase)
    wanted = [name for name in operations if name in performed]
    if not operations or len(wanted) == len(performed):
        return [phase]
    if phase.arrival.own_requests and wanted:
        raise UsageError(
            f"--only {', '.join(operations)}: {phase.name} sends a {phase.arrival.kind}, which says itself what is "
            "asked. Leave the phase out by naming others with --phase."
        )
    bounds = {key: getattr(phase, key) for key in ("arrival", "requests", "warm_up", "time_s")}
    return [
        scenario.alone(name).model_copy(
            update={**bounds, "name": phase.name if len(wanted) == 1 else f"{phase.name} {name}"}
        )
        for name in wanted
    ]
