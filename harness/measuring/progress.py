"""What a person sees while a run goes on: the variant, its operation, how far it is, and the p95 until now."""

from collections import defaultdict
from time import perf_counter
from typing import Final, Protocol, Self, cast

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]
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
from harness.quantities import duration
from harness.record import Sample

REFRESH_S: Final = 0.25

# Microseconds up to an hour, to three digits: some 200 kilobytes, however many samples there are.
LATENCY_US_MAX: Final = 3_600_000_000
LATENCY_DIGITS: Final = 3


class Progress(Protocol):
    """Told of a run's steps as they happen. Must not wait: it is called between timed requests."""

    def preparing(self, step: str) -> None: ...

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None:
        """Begins, or goes on after the turns of others."""
        ...

    def phase_end(self, variant: str, operation: str) -> None: ...

    def sample(self, sample: Sample) -> None: ...

    def failure(self, variant: str, operation: str, error: TargetError) -> None: ...

    def note(self, text: str) -> None:
        """What a person wants to know of how the run goes on, in a sentence."""
        ...


class Silent:
    """For tests, and for callers that show progress in their own way."""

    def preparing(self, step: str) -> None: ...

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None: ...

    def phase_end(self, variant: str, operation: str) -> None: ...

    def sample(self, sample: Sample) -> None: ...

    def failure(self, variant: str, operation: str, error: TargetError) -> None: ...

    def note(self, text: str) -> None: ...


class Histogram(Protocol):
    """What is used of `HdrHistogram`, which has no types of its own."""

    def record_value(self, value: int) -> bool: ...

    def get_total_count(self) -> int: ...

    def get_value_at_percentile(self, percentile: float) -> int: ...


class TerminalProgress:
    """One bar for the run and one for the phase; where there is no terminal, a line when a phase has ended."""

    def __init__(self, console: Console, phases_total: int) -> None:
        self._console = console
        self._latencies_us: defaultdict[str, Histogram] = defaultdict(new_histogram)
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
        self._run = self._bars.add_task("run", total=phases_total, note="")
        self._phase = self._bars.add_task("starting", total=None, note="")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        for phase in list(self._latencies_us):
            self._finish(phase)
        self._bars.stop()

    def preparing(self, step: str) -> None:
        self._bars.update(self._phase, description=step, total=None, completed=0, note="")

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None:
        self._current = f"{variant}: {operation}"
        self._bars.update(
            self._phase, description=self._current, total=requests, completed=self._count, note=f"at most {time_s:g} s"
        )

    def phase_end(self, variant: str, operation: str) -> None:
        self._finish(f"{variant}: {operation}")

    def sample(self, sample: Sample) -> None:
        """Shows no more often than a person sees: at ten thousand a second, showing each would be the load."""
        self._latencies_us[self._current].record_value(min(round(1e6 * sample.latency_s), LATENCY_US_MAX))
        if (now := perf_counter()) - self._shown_at >= REFRESH_S:
            self._shown_at = now
            self._bars.update(self._phase, completed=self._count, note=p95(self._latencies_us[self._current]))

    def failure(self, variant: str, operation: str, error: TargetError) -> None:
        """Each kind once per variant and operation: a server that is away would fill the screen."""
        key = f"{variant}: {operation} failed ({error.kind})"
        if key not in self._failures_shown:
            self._failures_shown.add(key)
            self._console.print(f"[red]{escape(f'{key}: {error}')}[/red]", highlight=False)

    def note(self, text: str) -> None:
        self._console.print(escape(text), highlight=False)

    def _finish(self, phase: str) -> None:
        latencies_us = self._latencies_us.pop(phase, None)
        if latencies_us is not None and latencies_us.get_total_count():
            line = f"  {phase}: {latencies_us.get_total_count()} requests, {p95(latencies_us)}"
            self._console.print(line, highlight=False)
            self._bars.advance(self._run)

    @property
    def _count(self) -> int:
        return self._latencies_us[self._current].get_total_count()


def new_histogram() -> Histogram:
    return cast("Histogram", HdrHistogram(1, LATENCY_US_MAX, LATENCY_DIGITS))


def p95(latencies_us: Histogram) -> str:
    return f"p95 {duration(latencies_us.get_value_at_percentile(95) / 1e6)}"
