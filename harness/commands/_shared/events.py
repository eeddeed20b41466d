"""A run as it goes on, for other programs: JSON, an object a line, each with the schema that it is of.

A field or an event is only ever added within a version; a reader passes over those that it does not know.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from harness.errors import TargetError
from harness.judging.budget_metrics.protocol import Outcome
from harness.measuring.progress import Latencies
from harness.quantities import Unit
from harness.redaction import without_secrets
from harness.samples import Sample
from harness.showing.report import AnyReport, Report

SCHEMA: Final = "anima-harness/events"
PROGRESS_S: Final = 1.0
"""Progress of a phase is told no more often: at ten thousand requests a second, telling each would be the load."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Holds what all have in common."""

    schema: Literal["anima-harness/events"] = SCHEMA
    schema_version: Literal[1] = 1
    at_s: float
    """How many seconds the command has taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartEvent(Event):
    """Comes first, and says which run it is."""

    event: Literal["start"] = "start"
    run_id: str
    scenario: str
    directory: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseEvent(Event):
    """Says that a variant's phase begins, or goes on after the turns of others."""

    event: Literal["phase"] = "phase"
    variant: str
    operation: str
    requests: int
    """How many are planned."""
    time_s: float
    """How long it may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressEvent(Event):
    """Says how far a phase is: once a second, and when it has ended."""

    event: Literal["progress"] = "progress"
    variant: str
    """The variant's name."""
    operation: str
    """What is asked in the phase."""
    requests: int
    """How many were sent until now, in all rounds."""
    errors: int
    """How many of them failed."""
    p95_s: float
    """The latency that 95 of 100 of them stay below, in seconds."""
    ended: bool
    """Whether the phase has ended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteEvent(Event):
    """Tells what a person is told, in a sentence: of failures each kind once."""

    event: Literal["note"] = "note"
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetEvent(Event):
    """Says how one budget stands at the end. Values are in seconds, as ratios or as counts, as `unit` says."""

    event: Literal["budget"] = "budget"
    budget: str
    """The budget as it is written."""
    variant: str
    """The variant that was held to it."""
    outcome: Outcome
    """Whether it holds."""
    sentence: str
    """How it stands."""
    unit: Unit
    """In what its values are."""
    measured: float | None
    """The measured value; None where there is none, or too many failed."""
    limit: float | None
    """What it is held to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictEvent(Event):
    """Comes last, and says what the command exits with."""

    event: Literal["verdict"] = "verdict"
    outcome: Outcome
    exit_code: int
    sentence: str
    directory: str


AnyEvent = Annotated[
    StartEvent | PhaseEvent | ProgressEvent | NoteEvent | BudgetEvent | VerdictEvent, Field(discriminator="event")
]
EVENTS: Final[TypeAdapter[AnyEvent]] = TypeAdapter(AnyEvent)


class EventStream:
    """Follows a run, and writes its events. `write` gets a line without its end."""

    def __init__(self, write: Callable[[str], object], clock: Callable[[], float] = perf_counter) -> None:
        self._write, self._clock, self._began = write, clock, clock()
        self._latencies: defaultdict[tuple[str, str], Latencies] = defaultdict(Latencies)
        self._errors = Counter[tuple[str, str]]()
        self._current = ("", "")
        self._told_at = self._began
        self._failures_told: set[str] = set()
        self._start: StartEvent | None = None

    def started(self, run_id: str, scenario: str, directory: str) -> None:
        """Is told with the first event that follows: a run that cannot begin has none."""
        self._start = StartEvent(at_s=self._at_s, run_id=run_id, scenario=scenario, directory=directory)

    def preparing(self, step: str) -> None:
        """Of no use to a program."""

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None:
        self._current = variant, operation
        self._tell(PhaseEvent(at_s=self._at_s, variant=variant, operation=operation, requests=requests, time_s=time_s))

    def phase_end(self, variant: str, operation: str) -> None:
        self._progress(variant, operation, ended=True)

    def profiled(self) -> None:
        """Of no use to a program."""

    def sample(self, sample: Sample) -> None:
        self._latencies[self._current].add(sample.latency_s)
        self._errors[self._current] += sample.error is not None
        if self._clock() - self._told_at >= PROGRESS_S:
            self._progress(*self._current, ended=False)

    def failure(self, variant: str, operation: str, error: TargetError) -> None:
        key = f"{variant}: {operation} failed ({error.kind})"
        if key not in self._failures_told:
            self._failures_told.add(key)
            self.note(f"{key}: {error}")

    def note(self, text: str) -> None:
        self._tell(NoteEvent(at_s=self._at_s, sentence=without_secrets(text)))

    def judged(self, report: AnyReport, directory: str) -> None:
        """Ends with what the run came to."""
        if isinstance(report, Report):
            for each in report.verdict.worst_first:
                self._tell(
                    BudgetEvent(
                        at_s=self._at_s,
                        budget=each.budget,
                        variant=each.variant,
                        outcome=each.outcome,
                        sentence=each.sentence,
                        unit=each.unit,
                        measured=each.measured,
                        limit=each.limit,
                    )
                )
        self._tell(
            VerdictEvent(
                at_s=self._at_s,
                outcome=report.outcome,
                exit_code=int(report.exit_code),
                sentence=report.sentence,
                directory=directory,
            )
        )

    def _progress(self, variant: str, operation: str, *, ended: bool) -> None:
        self._told_at = self._clock()
        latencies = self._latencies[variant, operation]
        if latencies.count:
            self._tell(
                ProgressEvent(
                    at_s=self._at_s,
                    variant=variant,
                    operation=operation,
                    requests=latencies.count,
                    errors=self._errors[variant, operation],
                    p95_s=latencies.p95_s,
                    ended=ended,
                )
            )

    @property
    def _at_s(self) -> float:
        return round(self._clock() - self._began, 3)

    def _tell(self, event: AnyEvent) -> None:
        start, self._start = self._start, None
        for each in (start, event):
            if each is not None:
                self._write(EVENTS.dump_json(each).decode())
