"""Which part of the code the time went to, before and after: profiles of two variants compared, per operation."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final

from harness.analysis.flames import FrameChange, Stack, compare, culprits
from harness.declaration import declaration_of
from harness.errors import UsageError
from harness.record import ProfileRecord, RunRecord

NOWHERE: Final = "[await]"


@dataclass(frozen=True, slots=True)
class Side:
    """One variant of one run; `label` is how a reader knows it from the other side."""

    label: str
    profiles: tuple[ProfileRecord, ...]

    def rounds(self, operation: str) -> list[dict[Stack, float]]:
        """Milliseconds per request of each stack, round by round."""
        return [
            {tuple(stack.split(";")): 1000 * time_s / profile.requests for stack, time_s in profile.stacks.items()}
            for profile in self.profiles
            if profile.operation == operation
        ]

    def waits(self, operation: str) -> dict[str, float]:
        """Shares of what the looks at the server found, the largest first."""
        seen = sum((Counter(each.waits) for each in self.profiles if each.operation == operation), Counter[str]())
        return {event: times / seen.total() for event, times in seen.most_common()}

    def overhead(self, operation: str) -> float:
        """What profiling added to a request, as a share of what it took without."""
        chosen = [profile for profile in self.profiles if profile.operation == operation]
        return fmean(each.profiled_s for each in chosen) / fmean(each.plain_s for each in chosen) - 1


@dataclass(frozen=True, slots=True)
class Difference:
    """One operation. `changes` has every frame, `culprits` those that explain the change, the largest first."""

    operation: str
    before: Side
    after: Side
    changes: tuple[FrameChange, ...]
    culprits: tuple[FrameChange, ...]


def differences(record: RunRecord) -> tuple[Difference, ...]:
    """The run's baseline against its candidate; empty where they were not profiled."""
    declared = declaration_of(record)
    profiled = {profile.variant for profile in record.profiles}
    if not {declared.baseline, declared.candidate} <= profiled or declared.baseline == declared.candidate:
        return ()
    return between(side(record, str(declared.baseline)), side(record, str(declared.candidate)))


def side(record: RunRecord, variant: str, label: str | None = None) -> Side:
    """Raises `UsageError` when the run has no profile of the variant."""
    profiles = tuple(profile for profile in record.profiles if profile.variant == variant)
    if not profiles:
        known = ", ".join(dict.fromkeys(profile.variant for profile in record.profiles))
        raise UsageError(
            f"The run {record.run_id} has no profile of {variant!r}. "
            + (f"It has those of {known}." if known else "Make one with `harness profile`.")
        )
    return Side(label or variant, profiles)


def between(before: Side, after: Side) -> tuple[Difference, ...]:
    """For each operation that both sides profiled."""
    of_after = {profile.operation for profile in after.profiles}
    operations = dict.fromkeys(profile.operation for profile in before.profiles if profile.operation in of_after)
    return tuple(_difference(operation, before, after) for operation in operations)


def _difference(operation: str, before: Side, after: Side) -> Difference:
    changes = compare(before.rounds(operation), after.rounds(operation))
    return Difference(operation, before, after, tuple(changes), tuple(culprits(changes)))


def place(stack: Sequence[str]) -> str:
    """A frame as a reader looks for it: the last two of the system's own functions, and the library that they called.

    What waits is always in a library, and which function made it wait is the question.
    """
    frames = [frame for frame in stack if frame != NOWHERE]
    return " > ".join(frames[-3:]) or "request"
