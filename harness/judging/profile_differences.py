"""Says which part of the code the time went to, before and after: profiles of two variants compared, per operation."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean
from typing import Final

from harness.errors import UsageError
from harness.frames import AWAITED, SERVER, file_of, is_library, is_own, is_statement
from harness.judging.analysis.flames import FrameChange, Stack, compare, culprits
from harness.judging.declaration import declaration_of
from harness.record import ProfileRecord, RunRecord

FILES_SHOWN: Final = 2


@dataclass(frozen=True, slots=True)
class ProfileSide:
    """One variant of one run; `label` is how a reader knows it from the other side."""

    label: str
    profiles: tuple[ProfileRecord, ...]

    def rounds(self, operation: str) -> list[dict[Stack, float]]:
        """Milliseconds per request of each stack, round by round."""
        return [_per_request(each.stacks, each.requests) for each in self.profiles if each.operation == operation]

    def server_rounds(self, operation: str) -> list[dict[Stack, float]]:
        """The server's processor time likewise, of the rounds in which it was seen."""
        return [
            _per_request(each.server_stacks, each.requests)
            for each in self.profiles
            if each.operation == operation and each.server_stacks
        ]

    @property
    def server_unobserved(self) -> str:
        """Says why the server's functions were not seen in some round; empty where they were, or nobody says."""
        return next((each.server_unobserved for each in self.profiles if each.server_unobserved), "")

    def waits(self, operation: str) -> dict[str, float]:
        """Shares of what the looks at the server found, the largest first."""
        seen = sum((Counter(each.waits) for each in self.profiles if each.operation == operation), Counter[str]())
        return {event: times / seen.total() for event, times in seen.most_common()}

    def lock_waits(self, operation: str) -> Counter[tuple[str, str, str]]:
        """In how many looks which statement waited, for which lock, held by which statement."""
        seen: Counter[tuple[str, str, str]] = Counter()
        for profile in self.profiles:
            if profile.operation == operation:
                for each in profile.lock_waits:
                    holding = each.holding if each.state == "active" else f"{each.holding} ({each.state})"
                    seen[each.waiting, each.lock, holding] += each.looks
        return seen

    def allocations(self, operation: str) -> float | None:
        """Says how often a request allocates, in the round with fewest; None where nobody counted it."""
        counted = [each.allocations for each in self.profiles if each.operation == operation]
        return min((each for each in counted if each is not None), default=None)

    def overhead(self, operation: str) -> float:
        """Says what profiling added to a request, as a share of what it took without."""
        chosen = [profile for profile in self.profiles if profile.operation == operation]
        return fmean(each.profiled_s for each in chosen) / fmean(each.plain_s for each in chosen) - 1


def _per_request(stacks: Mapping[str, float], requests: int) -> dict[Stack, float]:
    """Milliseconds of seconds in all of them."""
    return {tuple(stack.split(";")): 1000 * time_s / requests for stack, time_s in stacks.items()}


@dataclass(frozen=True, slots=True)
class ProfileDifference:
    """One operation. `changes` has every frame, `culprits` those that explain the change, the largest first.

    `server_changes` are the frames of the server, whose time is processor time and no part of the requests' own; empty
    where it was not seen on both sides.
    """

    operation: str
    before: ProfileSide
    after: ProfileSide
    changes: tuple[FrameChange, ...]
    culprits: tuple[FrameChange, ...]
    server_changes: tuple[FrameChange, ...] = ()

    @property
    def server_unobserved(self) -> str:
        """Says why the server's functions are not shown; empty where they are, or nobody says."""
        return "" if self.server_changes else self.before.server_unobserved or self.after.server_unobserved

    def server_functions(self) -> list[tuple[str, float, float]]:
        """The server's functions with the processor time of each without what it called, in ms before and after."""
        own: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        for change in self.server_changes:
            for stack, sign in ((change.stack, 1), (change.stack[:-1], -1)):
                if stack and stack[-1] != SERVER:
                    own[stack[-1]][0] += sign * change.before_ms
                    own[stack[-1]][1] += sign * change.after_ms
        return sorted(((name, before, after) for name, (before, after) in own.items()), key=lambda each: -max(each[1:]))


def differences(record: RunRecord) -> tuple[ProfileDifference, ...]:
    """The run's baseline against its candidate; empty where they were not profiled."""
    declared = declaration_of(record)
    profiled = {profile.variant for profile in record.profiles}
    if not {declared.baseline, declared.candidate} <= profiled or declared.baseline == declared.candidate:
        return ()
    return between(side(record, str(declared.baseline)), side(record, str(declared.candidate)))


def side(record: RunRecord, variant: str, label: str | None = None) -> ProfileSide:
    """Raises `UsageError` when the run has no profile of the variant."""
    profiles = tuple(profile for profile in record.profiles if profile.variant == variant)
    if not profiles:
        known = ", ".join(dict.fromkeys(profile.variant for profile in record.profiles))
        raise UsageError(
            f"The run {record.run_id} has no profile of {variant!r}. "
            + (f"It has those of {known}." if known else "Make one with `harness profile`.")
        )
    return ProfileSide(label or variant, profiles)


def between(before: ProfileSide, after: ProfileSide) -> tuple[ProfileDifference, ...]:
    """For each operation that both sides profiled."""
    of_after = {profile.operation for profile in after.profiles}
    operations = dict.fromkeys(profile.operation for profile in before.profiles if profile.operation in of_after)
    return tuple(_difference(operation, before, after) for operation in operations)


def _difference(operation: str, before: ProfileSide, after: ProfileSide) -> ProfileDifference:
    changes = compare(before.rounds(operation), after.rounds(operation))
    of_server = before.server_rounds(operation), after.server_rounds(operation)
    return ProfileDifference(
        operation,
        before,
        after,
        tuple(changes),
        tuple(culprits(_actionable(changes))),
        tuple(compare(*of_server)) if all(of_server) else (),
    )


def _actionable(changes: Sequence[FrameChange]) -> list[FrameChange]:
    """The system's own functions, the statements they send, and what they call of a library: not how it does its work.

    A library's function stays where it called the system back.
    """
    shown = {change.stack[:depth] for change in changes for depth in range(_depth_shown(change.stack) + 1)}
    return [change for change in changes if change.stack in shown]


def _depth_shown(stack: Stack) -> int:
    depth = max((number for number, frame in enumerate(stack, 1) if is_own(frame) or is_statement(frame)), default=0)
    sends = depth > 0 and is_statement(stack[depth - 1])
    return depth + (depth < len(stack) and not sends and is_library(stack[depth]))


def place(stack: Stack) -> str:
    """A frame as a reader looks for it: the last of the system's own functions, and the statement or the library call.

    Of a statement the function that wanted it is named, and not the runner that all statements go through. Of functions
    of one file that call each other only the last is.
    """
    frames = [frame for frame in stack if frame != AWAITED]
    sent = next((number for number, frame in enumerate(frames) if is_statement(frame)), None)
    if sent is not None:
        runner = file_of(frames[sent - 1])
        wanting = [frame for frame in frames[:sent] if is_own(frame) and file_of(frame) != runner]
        return " > ".join((*wanting[-1:], frames[sent]))
    called = frames[-1:] if frames and is_library(frames[-1]) else []
    own = [list(calls)[-1] for _, calls in groupby(filter(is_own, frames), key=file_of)]
    return " > ".join((*own[-FILES_SHOWN:], *called)) or "request"
