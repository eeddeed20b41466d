"""Says which function of a request sent which statement, from where: samples show the wait, and not what is waited for.

A statement is told when its answer is there, within the function that sent it. A sample that was taken before, while
that function waited, has come to it by the same calls of the same lines, which is how the two are matched.
"""

import inspect
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from pyinstrument.frame_info import frame_info_get_identifier
from pyinstrument.stack_sampler import build_call_stack

PERFORM: Final = "perform"
"""The function of an open target under which a request's own frames begin."""

Call: TypeAlias = tuple[tuple[str, ...], str]
"""The frames that led to a function, with their lines, and the function by itself."""


@dataclass(frozen=True, slots=True)
class Senders:
    """`seen` keeps a statement that is sent two hundred times from being taken apart as often."""

    statements: defaultdict[Call, set[str]] = field(default_factory=lambda: defaultdict[Call, set[str]](set))
    seen: set[tuple[str, tuple[str, ...]]] = field(default_factory=set[tuple[str, tuple[str, ...]]])

    def note(self, statement: str) -> None:
        """Which of its callers waited is not known here; a sample of the wait will tell."""
        frames = tuple(within_request(build_call_stack(inspect.currentframe(), "line", None)))
        if (statement, frames) not in self.seen:
            self.seen.add((statement, frames))
            for depth in range(1, len(frames) + 1):
                self.statements[_call(frames[:depth])].add(statement)

    def statement(self, frames: Sequence[str]) -> str | None:
        """Says what the innermost of the frames sent; None for a function that sent nothing."""
        names = self.statements.get(_call(frames)) if frames else None
        return " or ".join(sorted(names)) if names else None


def within_request(frames: Sequence[str]) -> Sequence[str]:
    """The request's own frames, without those that led to it; none of a sample that was taken outside of any."""
    functions = [frame.partition("\x00")[0] for frame in frames]
    return frames[functions.index(PERFORM) + 1 :] if PERFORM in functions else ()


def _call(frames: Sequence[str]) -> Call:
    return tuple(frames[:-1]), frame_info_get_identifier(frames[-1])
