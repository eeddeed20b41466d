"""The live view where there is no terminal: a line per phase, and each kind of failure once."""

from io import StringIO

from rich.console import Console

from harness.errors import TargetError
from harness.measuring.progress import TerminalProgress
from tests.records import samples


def test_each_phase_leaves_a_line_with_its_own_figures() -> None:
    screen = StringIO()
    with TerminalProgress(Console(file=screen, width=100), 2) as progress:
        progress.phase("naive", "query", 3, 10)
        for each in samples([0.1, 0.1, 7_200.0]):
            progress.sample(each)
        progress.phase_end("naive", "query")
        progress.preparing("cloning")
        progress.phase("batched", "query", 1, 10)
        progress.sample(samples([0.00125])[0])
    assert screen.getvalue().split("\n") == [
        "  naive: query: 3 requests, p95 3601 s",
        "  batched: query: 1 requests, p95 1.25 ms",
        "",
        "",
    ]


def test_phases_that_take_turns_keep_their_figures_apart() -> None:
    screen = StringIO()
    with TerminalProgress(Console(file=screen, width=100), 2) as progress:
        for _ in range(2):
            for variant, latency_s in {"naive": 0.1, "batched": 0.01}.items():
                progress.phase(variant, "query", 2, 10)
                progress.sample(samples([latency_s])[0])
                progress.preparing("finishing the background work")
        progress.phase_end("batched", "query")
        progress.phase_end("naive", "query")
    assert screen.getvalue().splitlines()[:2] == [
        "  batched: query: 2 requests, p95 10.0 ms",
        "  naive: query: 2 requests, p95 100 ms",
    ]


def test_a_failure_is_shown_once() -> None:
    screen = StringIO()
    with TerminalProgress(Console(file=screen, width=100), 1) as progress:
        for _ in range(3):
            progress.failure("naive", "query", TargetError("DatabaseUnavailable", "no answer"))
    assert screen.getvalue().split("\n") == ["naive: query failed (DatabaseUnavailable): no answer", "", ""]
