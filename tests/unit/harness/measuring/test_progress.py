"""The live view where there is no terminal: a line per phase, and each kind of failure once."""

import threading
from io import StringIO

from rich.console import Console

from harness.errors import TargetError
from harness.measuring.progress import TerminalProgress
from harness.measuring.waiting import Waiting
from tests.records import samples
from tests.waiting import TIMEOUT_S


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
        "  naive: query: 3 requests, p95 7200 s",
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


class Now:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.s = 100.0

    def __call__(self) -> float:
        return self.s


def silent_for(progress: TerminalProgress, now: Now, seconds: float) -> None:
    """As the thread does that looks."""
    for _ in range(round(seconds)):
        now.s += 1.0
        progress.waiting.look()


def test_a_silence_is_broken_every_nine_seconds_with_the_time_to_go() -> None:
    screen, now = StringIO(), Now()
    progress = TerminalProgress(Console(file=screen, width=100), 4, now)
    progress.preparing("starting PostgreSQL")
    silent_for(progress, now, 19)
    progress.phase("naive", "query", 10, 600)
    for each in samples([0.001] * 5):
        progress.sample(each)
    silent_for(progress, now, 21)
    progress.phase_end("naive", "query")
    progress.preparing("naive: cloning")
    silent_for(progress, now, 9)
    assert screen.getvalue().splitlines() == [
        "  9 s: starting PostgreSQL; time to go not known yet",
        "  18 s: starting PostgreSQL; time to go not known yet",
        "  27 s: naive: query, 5 of 10 requests, for at most 600 s; about 3 min 9 s to go",
        "  36 s: naive: query, 5 of 10 requests, for at most 600 s; about 4 min 12 s to go",
        "  naive: query: 5 requests, p95 1.00 ms",
        "  49 s: naive: cloning; about 2 min 27 s to go",
    ]


def test_what_is_said_otherwise_breaks_the_silence_too() -> None:
    screen, now = StringIO(), Now()
    progress = TerminalProgress(Console(file=screen, width=100), 1, now)
    silent_for(progress, now, 8)
    progress.note("Sampling on.")
    silent_for(progress, now, 8)
    assert screen.getvalue() == "Sampling on.\n"


def test_a_phase_that_its_time_ends_is_told_by_its_time_and_profiles_are_steps() -> None:
    screen, now = StringIO(), Now()
    progress = TerminalProgress(Console(file=screen, width=100), 2, now)
    progress.phase("naive", "query", 1_000_000, 20)
    silent_for(progress, now, 10)
    progress.phase_end("naive", "query")
    progress.profiled()
    silent_for(progress, now, 10)
    assert screen.getvalue().splitlines() == [
        "  9 s: naive: query, 0 of 1000000 requests, for at most 20 s; about 31 s to go",
        "  18 s: naive: query; time to go not known yet",
    ]


def test_the_thread_that_looks_ends_with_the_block() -> None:
    said: list[str] = []
    heard = threading.Event()

    def say(text: str) -> None:
        said.append(text)
        heard.set()

    now = Now()
    waiting = Waiting(say, lambda: "waiting", lambda: 0.5, now)
    now.s += 3_700
    with waiting.over():
        assert heard.wait(TIMEOUT_S)
    assert said == ["  1 h 1 min: waiting; about 1 h 1 min to go"]
    assert not any(thread.name.endswith("(watch)") for thread in threading.enumerate())
