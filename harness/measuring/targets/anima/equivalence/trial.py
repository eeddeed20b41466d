"""One script, done by the reference and by every strategy at once, and compared after each of its steps."""

import asyncio
from collections.abc import Awaitable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Final, assert_never

from anima.errors import DatabaseUnavailable
from anima.model import BootstrapRequest, NewMemory, Query
from harness.measuring.targets.anima.equivalence.observation import ObservedValues, Seen, differences, values_of
from harness.measuring.targets.anima.equivalence.reference import Reference
from harness.measuring.targets.anima.equivalence.sources import Ids, ScriptClock
from harness.measuring.targets.anima.equivalence.steps import Drain, Load, ScriptStep, SoftDelete, Wait
from harness.measuring.targets.anima.equivalence.subjects import Subject, SubjectAnswer

STEP_TAKES: Final = timedelta(seconds=1)
DIFFERENCES_SHOWN: Final = 10


class Disagreement(AssertionError):
    """After the last of these steps, a strategy is not where the contract says."""

    def __init__(self, strategy: str, steps: Sequence[ScriptStep], differences: Sequence[str]) -> None:
        super().__init__(f"{strategy} disagrees with the contract:\n  " + "\n  ".join(differences))
        self.strategy = strategy
        self.steps = tuple(steps)


@dataclass(slots=True)
class Trial:
    """The subjects outlive it: their tables are emptied when it starts."""

    subjects: Collection[Subject]
    clock: ScriptClock
    reference: Reference
    steps: list[ScriptStep] = field(default_factory=list[ScriptStep])

    @classmethod
    async def start(cls, subjects: Collection[Subject], clock: ScriptClock, *, consolidates: bool = True) -> "Trial":
        """The clock is the one that the subjects read."""
        clock.restart()
        await asyncio.gather(*(subject.restart() for subject in subjects))
        return cls(subjects, clock, Reference(clock, Ids(), consolidates))

    async def perform(self, step: ScriptStep) -> SubjectAnswer:
        """Returns what the contract says; raises `Disagreement` when a strategy says or does something else."""
        self.steps.append(step)
        self.clock.now += STEP_TAKES
        expected = self._expected(step)
        await self._compare(expected, (subject.perform(step) for subject in self.subjects))
        if isinstance(step, NewMemory | Drain):
            await self._compare(self.reference.state(), (subject.state() for subject in self.subjects))
        return expected

    def _expected(self, step: ScriptStep) -> SubjectAnswer:
        match step:
            case NewMemory():
                return self.reference.add(step)
            case Query():
                return self.reference.query(step)
            case BootstrapRequest():
                return self.reference.bootstrap(step)
            case Load():
                self.reference.load(step)
            case SoftDelete():
                self.reference.soft_delete(step.content)
            case Wait():
                self.clock.now += timedelta(seconds=step.seconds)
            case Drain():
                pass
            case _:
                assert_never(step)
        return None

    async def _compare(self, expected: Seen, observations: Iterable[Awaitable[Seen]]) -> None:
        values = values_of(expected)
        observed = await asyncio.gather(*observations, return_exceptions=True)
        for subject, seen in zip(self.subjects, observed, strict=True):
            if found := list(islice(_differences(values, seen), DIFFERENCES_SHOWN)):
                raise Disagreement(subject.name, self.steps, found)


def _differences(expected: ObservedValues, observed: Seen | BaseException) -> Iterator[str]:
    """What a strategy raises is a difference too, unless it could not reach the database."""
    if not isinstance(observed, BaseException):
        yield from differences(expected, values_of(observed))
    elif isinstance(observed, Exception) and not isinstance(observed, DatabaseUnavailable):
        yield f"raised {type(observed).__name__}: {observed}"
    else:
        raise observed
