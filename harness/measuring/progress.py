"""Says what a person sees while a run goes on: the variant, its operation, how far it is, and the p95 until now."""

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from itertools import accumulate
from time import perf_counter
from typing import Final, Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from harness.errors import TargetError
from harness.measuring.waiting import Waiting
from harness.quantities import duration
from harness.samples import Sample

REFRESH_S: Final = 0.25


class Progress(Protocol):
    """Receives a run's steps as they happen. It must not wait: it is called between timed requests."""

    def preparing(self, step: str) -> None: ...

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None:
        """Begins, or goes on after the turns of others."""
        ...

    def phase_end(self, variant: str, operation: str) -> None: ...

    def profiled(self) -> None:
        """An operation of a variant was profiled in a round: as much a step of the run as a phase is."""
        ...

    def sample(self, sample: Sample) -> None: ...

    def failure(self, variant: str, operation: str, error: TargetError) -> None: ...

    def note(self, text: str) -> None:
        """Tells what a person wants to know of how the run goes on, in a sentence."""
        ...


class Silent:
    """For tests, and for callers that show progress in their own way."""

    def preparing(self, step: str) -> None: ...

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None: ...

    def phase_end(self, variant: str, operation: str) -> None: ...

    def profiled(self) -> None: ...

    def sample(self, sample: Sample) -> None: ...

    def failure(self, variant: str, operation: str, error: TargetError) -> None: ...

    def note(self, text: str) -> None: ...


class Together:
    """Tells several what happens, in their order."""

    def __init__(self, *receivers: Progress) -> None:
        self._receivers = receivers

    def preparing(self, step: str) -> None:
        for each in self._receivers:
            each.preparing(step)

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None:
        for each in self._receivers:
            each.phase(variant, operation, requests, time_s)

    def phase_end(self, variant: str, operation: str) -> None:
        for each in self._receivers:
            each.phase_end(variant, operation)

    def profiled(self) -> None:
        for each in self._receivers:
            each.profiled()

    def sample(self, sample: Sample) -> None:
        for each in self._receivers:
            each.sample(sample)

    def failure(self, variant: str, operation: str, error: TargetError) -> None:
        for each in self._receivers:
            each.failure(variant, operation, error)

    def note(self, text: str) -> None:
        for each in self._receivers:
            each.note(text)


class Latencies:
    """Latencies to three digits, 900 counts for each power of ten, however many requests there are."""

    def __init__(self) -> None:
        self.count = 0
        self._counts = Counter[float]()

    def add(self, latency_s: float) -> None:
        self.count += 1
        self._counts[float(f"{latency_s:.2e}")] += 1

    def p95(self) -> str:
        return f"p95 {duration(self.p95_s)}"

    @property
    def p95_s(self) -> float:
        """The smallest that 95 % do not exceed. There is one at least."""
        values = sorted(self._counts)
        ranks = list(accumulate(self._counts[latency_s] for latency_s in values))
        return values[bisect_left(ranks, math.ceil(0.95 * self.count))]


class TerminalProgress:
    """One bar for the run and one for the phase; where there is no terminal, a line when a phase has ended.

    A line also breaks each longer silence there, with the time to go. `steps_total` are phases and profiled operations.
    A `brief` one says nothing of phases that have ended.
    """

    def __init__(
        self, console: Console, steps_total: int, clock: Callable[[], float] = perf_counter, *, brief: bool = False
    ) -> None:
        self._console = console
        self._brief = brief
        self._clock = clock
        self._steps_total, self._steps_done = steps_total, 0
        self._step = "starting"
        self._planned: dict[str, tuple[int, float, float]] = {}
        self.waiting = Waiting(self._print, self._what_goes_on, self._share_done, clock)
        self._looking = ExitStack()
        self._latencies: defaultdict[str, Latencies] = defaultdict(Latencies)
        self._shown_at = 0.0
        self._failures_shown: set[str] = set()
        self._current = ""
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            refresh_per_second=1 / REFRESH_S,
        )
        self._run = self._bars.add_task("run", total=steps_total, note="")
        self._phase = self._bars.add_task("starting", total=None, note="")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        else:
            self._looking.enter_context(self.waiting.over())
        return self

    def __exit__(self, *_: object) -> None:
        self._looking.close()
        for phase in list(self._latencies):
            self._finish(phase)
        self._bars.stop()

    def preparing(self, step: str) -> None:
        self._step = step
        self._bars.update(self._phase, description=step, total=None, completed=0, note="")

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None:
        self._current = self._step = f"{variant}: {operation}"
        self._planned.setdefault(self._current, (requests, time_s, self._clock()))
        self._bars.update(
            self._phase, description=self._current, total=requests, completed=self._count, note=f"at most {time_s:g} s"
        )

    def phase_end(self, variant: str, operation: str) -> None:
        self._finish(f"{variant}: {operation}")
        self._advance()

    def profiled(self) -> None:
        self._advance()

    def sample(self, sample: Sample) -> None:
        """Shows no more often than a person sees: at ten thousand a second, showing each would be the load."""
        self._latencies[self._current].add(sample.latency_s)
        if (now := perf_counter()) - self._shown_at >= REFRESH_S:
            self._shown_at = now
            self._bars.update(self._phase, completed=self._count, note=self._latencies[self._current].p95())

    def failure(self, variant: str, operation: str, error: TargetError) -> None:
        """Each kind once per variant and operation: a server that is away would fill the screen."""
        key = f"{variant}: {operation} failed ({error.kind})"
        if key not in self._failures_shown:
            self._failures_shown.add(key)
            self._print(f"{key}: {error}", style="red")

    def note(self, text: str) -> None:
        self._print(text)

    def _finish(self, phase: str) -> None:
        self._planned.pop(phase, None)
        latencies = self._latencies.pop(phase, None)
        if latencies is not None and latencies.count and not self._brief:
            self._print(f"  {phase}: {latencies.count} requests, {latencies.p95()}")

    def _print(self, text: str, style: str | None = None) -> None:
        self._console.print(escape(text), style=style, highlight=False)
        self.waiting.heard()

    def _advance(self) -> None:
        self._steps_done += 1
        self._bars.advance(self._run)

    def _what_goes_on(self) -> str:
        if self._step not in self._planned:
            return self._step
        requests, time_s, _ = self._planned[self._step]
        count = self._latencies[self._step].count
        return f"{self._step}, {count} of {requests} requests, for at most {time_s:g} s"

    def _share_done(self) -> float | None:
        """With what is done of the phases that go on: of their requests, or of the time after which none begins."""
        if not self._steps_total:
            return None
        going_on = dict(self._planned)
        parts = [self._part_done(phase, *planned, alone=len(going_on) == 1) for phase, planned in going_on.items()]
        return (self._steps_done + sum(parts)) / self._steps_total

    def _part_done(self, phase: str, requests: int, time_s: float, begun: float, *, alone: bool) -> float:
        """The time counts where no other phase takes turns with it."""
        by_requests = self._latencies[phase].count / requests if requests else 0.0
        by_time = (self._clock() - begun) / time_s if alone and time_s else 0.0
        return min(max(by_requests, by_time), 1.0)

    @property
    def _count(self) -> int:
        return self._latencies[self._current].count
