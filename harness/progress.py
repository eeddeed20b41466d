"""What a person sees while a run goes on: the variant, its operation, how far it is, and the p95 until now."""

from typing import Protocol, Self

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

from harness.analysis.quantiles import quantile
from harness.errors import TargetError
from harness.record import Sample


class Progress(Protocol):
    """Told of a run's steps as they happen. Must not wait: it is called between timed requests."""

    def preparing(self, step: str) -> None: ...

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None: ...

    def sample(self, sample: Sample) -> None: ...

    def failure(self, variant: str, operation: str, error: TargetError) -> None: ...

    def note(self, text: str) -> None:
        """What a person wants to know of how the run goes on, in a sentence."""
        ...


class Silent:
    """For tests, and for callers that show progress in their own way."""

    def preparing(self, step: str) -> None: ...

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None: ...

    def sample(self, sample: Sample) -> None: ...

    def failure(self, variant: str, operation: str, error: TargetError) -> None: ...

    def note(self, text: str) -> None: ...


class TerminalProgress:
    """One bar for the run and one for the phase; where there is no terminal, a line per phase."""

    def __init__(self, console: Console, phases_total: int) -> None:
        self._console = console
        self._latencies_s: list[float] = []
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
            refresh_per_second=4,
        )
        self._run = self._bars.add_task("run", total=phases_total, note="")
        self._phase = self._bars.add_task("starting", total=None, note="")

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish_phase()
        self._bars.stop()

    def preparing(self, step: str) -> None:
        self._finish_phase()
        self._bars.update(self._phase, description=step, total=None, completed=0, note="")

    def phase(self, variant: str, operation: str, requests: int, time_s: float) -> None:
        self._finish_phase()
        self._current = f"{variant}: {operation}"
        self._bars.update(
            self._phase, description=self._current, total=requests, completed=0, note=f"at most {time_s:g} s"
        )

    def sample(self, sample: Sample) -> None:
        self._latencies_s.append(sample.latency_s)
        self._bars.update(self._phase, advance=1, note=self._p95())

    def failure(self, variant: str, operation: str, error: TargetError) -> None:
        """Each kind once per variant and operation: a server that is away would fill the screen."""
        key = f"{variant}: {operation} failed ({error.kind})"
        if key not in self._failures_shown:
            self._failures_shown.add(key)
            self._console.print(f"[red]{escape(f'{key}: {error}')}[/red]", highlight=False)

    def note(self, text: str) -> None:
        self._finish_phase()
        self._console.print(escape(text), highlight=False)

    def _finish_phase(self) -> None:
        if self._latencies_s:
            count = len(self._latencies_s)
            self._console.print(f"  {self._current}: {count} requests, {self._p95()}", highlight=False)
            self._latencies_s.clear()
            self._bars.advance(self._run)

    def _p95(self) -> str:
        return f"p95 {1000 * quantile(sorted(self._latencies_s), 0.95):,.0f} ms"
