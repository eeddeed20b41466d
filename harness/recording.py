"""A scenario, measured into a run's directory: what is known before, the journal, the log, and an end in any case."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Callable, Coroutine, Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any, Final

from rich.console import Console

from harness import journal
from harness.clock import new_event_loop
from harness.errors import Aborted, HarnessError, ResumeRefused
from harness.execution import execute
from harness.progress import Progress, TerminalProgress
from harness.provisioners.addresses import redacted
from harness.record import INTERRUPTED, SCHEMA_VERSION, ComparisonSettings
from harness.scenario import Scenario

LOG_FILE: Final = "log.txt"

Work = Callable[[Scenario, journal.Journal, Progress], Coroutine[None, None, None]]
"""Measures every variant of a scenario into a journal."""


def measure(
    chosen: Scenario,
    directory: Path,
    work: Work = execute,
    *,
    resume: bool = False,
    declared: Mapping[str, Any] = MappingProxyType({}),
    comparison: ComparisonSettings | None = None,
) -> HarnessError | None:
    """Does the work into the directory's journal, which gets its end whatever happens; returns what failed.

    A run that a budget ended has not failed: its record says so, and is judged. One that is resumed goes on in its own
    journal, and stays as it is when that is refused. `declared` is kept in place of what the scenario says, where its
    variants are not the scenario's strategies. A run that is made for a `comparison` is judged by it later as well.
    """
    console = Console(stderr=True)
    known = header(chosen, directory.name, declared, comparison)
    variants = len(known["scenario"]["strategies"]) + known["scenario"]["control"]
    phases_total = len(chosen.phases) * variants * chosen.rounds
    started = perf_counter()
    interruption: str | None = INTERRUPTED
    failure: HarnessError | None = None
    aborted_by: str | None = None
    with (
        journal.reopen_journal(directory) if resume else journal.open_journal(directory) as entries,
        logging_to(directory / LOG_FILE),
        TerminalProgress(console, phases_total) as progress,
    ):
        if not resume:
            entries.write("run", known)
        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(terminable(work(chosen, entries, progress)))
            interruption = None
        except (KeyboardInterrupt, asyncio.CancelledError):
            console.print("Interrupted: what was measured until now is kept.")
        except (HarnessError, ExceptionGroup) as error:
            failure = expected(error)
            interruption = str(failure)
            if isinstance(failure, Aborted):
                aborted_by, failure = failure.budget, None
        finally:
            if not isinstance(failure, ResumeRefused):
                elapsed_s = perf_counter() - started
                entries.write("end", {"interruption": interruption, "aborted_by": aborted_by, "elapsed_s": elapsed_s})
    return failure


@contextlib.contextmanager
def logging_to(path: Path) -> Generator[None]:
    """Keeps warnings of the target and of libraries out of the terminal; no warning, no file."""
    log_file = logging.FileHandler(path, delay=True)
    log_file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(log_file)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(log_file)
        log_file.close()


async def terminable(work: Coroutine[None, None, None]) -> None:
    """Ends the work at the first Ctrl-C or SIGTERM, cleaned up. Later ones change nothing: tox sends up to three."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def end() -> None:
        for sent in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(sent)
            signal.signal(sent, signal.SIG_IGN)
        task.cancel()

    for sent in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sent, end)
    await task


def expected(error: HarnessError | ExceptionGroup[Exception]) -> HarnessError:
    """The expected failure in a group of concurrent ones; raises what is not expected."""
    if isinstance(error, HarnessError):
        return error
    failures, others = error.split(HarnessError)
    if others is not None or failures is None:
        raise error
    leaf: BaseException = failures
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, HarnessError), "split keeps only these"
    return leaf


def header(
    chosen: Scenario,
    run_id: str,
    declared: Mapping[str, Any] = MappingProxyType({}),
    comparison: ComparisonSettings | None = None,
) -> Mapping[str, Any]:
    """What is known of a run before it starts; `declared` is kept of its scenario in place of what that says."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "started_at": datetime.now(UTC).isoformat(),
        "command": ["harness", *map(redacted, sys.argv[1:])],
        "scenario": {**chosen.model_dump(mode="json"), **declared},
        "corpus": chosen.corpus_facts(),
        **({"comparison": comparison.model_dump()} if comparison else {}),
    }
