"""The live view where there is no terminal: a line per phase, and each kind of failure once."""

from io import StringIO

from rich.console import Console

from harness.errors import TargetError
from harness.progress import TerminalProgress
from tests.records import samples


def test_each_phase_leaves_a_line_with_its_own_figures() -> None:
    screen = StringIO()
    with TerminalProgress(Console(file=screen, width=100), 2) as progress:
        progress.phase("naive", "query", 3, 10)
        for each in samples([0.1, 0.1, 7_200.0]):
            progress.sample(each)
        progress.preparing("cloning")
        progress.phase("batched", "query", 1, 10)
        progress.sample(samples([0.00125])[0])
    assert screen.getvalue().split("\n") == [
        "  naive: query: 3 requests, p95 3601 s",
        "  batched: query: 1 requests, p95 1.25 ms",
        "",
        "",
    ]


def test_a_failure_is_shown_once() -> None:
    screen = StringIO()
    with TerminalProgress(Console(file=screen, width=100), 1) as progress:
        for _ in range(3):
            progress.failure("naive", "query", TargetError("DatabaseUnavailable", "no answer"))
    assert screen.getvalue().split("\n") == ["naive: query failed (DatabaseUnavailable): no answer", "", ""]
