"""A scenario, measured into a run's directory: what is known before, the journal, the log, and an end in any case."""

import asyncio
import contextlib
import logging
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any, Final

from rich.console import Console

from harness import journal
from harness.errors import Aborted, HarnessError, Unexpected, UsageError
from harness.failures import foreseen
from harness.measuring.clock import new_event_loop
from harness.measuring.execution import execute
from harness.measuring.progress import Progress, Silent, TerminalProgress, Together
from harness.measuring.revisions import current_checkout
from harness.measuring.scenario import Scenario
from harness.measuring.servers.addresses import redacted
from harness.record import (
    INTERRUPTED,
    SCHEMA_VERSION,
    CapacitySettings,
    ComparisonSettings,
    EnvironmentRecord,
    RunRecord,
)
from harness.redaction import all_without_secrets, without_secrets
from harness.signals import heeded

NOWHERE: Final = EnvironmentRecord(host={}, software={}, server={})

MadeFor = ComparisonSettings | CapacitySettings
"""What a run can be made for in place of a verdict by its budgets."""

MADE_FOR: Final[Mapping[type[MadeFor], str]] = {ComparisonSettings: "comparison", CapacitySettings: "capacity"}
"""The keys of a record that say it."""

RunWork = Callable[[Scenario, journal.Journal, Progress], Coroutine[None, None, None]]
"""Measures every variant of a scenario into a journal."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """A run that is over: its record, and what made it fail, if anything did."""

    record: RunRecord
    failure: HarnessError | None = None


def record_run(
    chosen: Scenario,
    directory: Path,
    work: RunWork = execute,
    *,
    resume: bool = False,
    declared: Mapping[str, Any] = MappingProxyType({}),
    made_for: MadeFor | None = None,
    brief: bool = False,
    quiet: bool = False,
    watching: Progress | None = None,
) -> Recorded:
    """Does the work into the directory's journal, which gets its end whatever happens.

    A run that a budget ended has not failed: its record says so, and is judged. One that is resumed goes on in its own
    journal. Raises `UsageError` for what is refused before the run has begun: then there is no such run, or the one
    that was to go on stays as it is. `declared` is kept in place of what the scenario says, where its
    variants are not the scenario's strategies. What a run is `made_for` it is judged by later as well.
    A `brief` one of many small phases says nothing of each, a `quiet` one nothing at all; `watching` is told as well.
    """
    console = Console(stderr=True, quiet=quiet)
    known = header(chosen, directory.name, declared, made_for)
    variants = len(known["scenario"].get("strategies", chosen.variant_names)) + known["scenario"]["control"]
    profiled = sum(len(each) for _, each in chosen.profile_schedule()) * len(chosen.operation_names)
    # Nobody knows beforehand how many rates a search will ask for.
    searches = isinstance(made_for, CapacitySettings)
    steps_total = 0 if searches else len(chosen.phases) * variants * chosen.rounds + profiled
    started = perf_counter()
    interruption: str | None = None
    failure: HarnessError | None = None
    aborted_by: str | None = None
    bytes_before = 0
    with (
        journal.reopen_journal(directory) if resume else journal.open_journal(directory) as entries,
        logging_to(directory / journal.LOG_FILE),
        TerminalProgress(console, steps_total, brief=brief) as progress,
    ):
        try:
            if not resume:
                entries.write("run", known)
            bytes_before = entries.length
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(terminable(work(chosen, entries, Together(progress, watching or Silent()))))
        except (KeyboardInterrupt, asyncio.CancelledError):
            interruption = INTERRUPTED
            console.print(interruption_told(directory, declared or known.get("capacity", {})), soft_wrap=True)
        except Exception as error:  # noqa: BLE001 -- whatever it is, what was measured is kept with it as the reason
            failure = foreseen(error, directory / journal.LOG_FILE)
            interruption = without_secrets(failure.reason if isinstance(failure, Unexpected) else str(failure))
            if isinstance(failure, Aborted):
                aborted_by, failure = failure.budget, None
        end = {"interruption": interruption, "aborted_by": aborted_by, "elapsed_s": perf_counter() - started}
        is_refused = isinstance(failure, UsageError) and entries.length == bytes_before
        if not is_refused:
            failure = _ended(entries, end, failure)
    if failure is not None and is_refused:
        if not resume:
            shutil.rmtree(directory)
        raise failure
    return Recorded(_record(entries.path, known, end), failure)


def measure_without_trace(chosen: Scenario, work: RunWork = execute) -> RunRecord:
    """The record of a run that nobody interrupted, whose files are gone. Raises `HarnessError`."""
    with tempfile.TemporaryDirectory() as directory:
        recorded = record_run(chosen, Path(directory) / chosen.name, work)
    if isinstance(recorded.failure, Unexpected) and isinstance(cause := recorded.failure.__cause__, Exception):
        raise foreseen(cause)  # Into a log that stays.
    if recorded.failure is not None:
        raise recorded.failure
    if recorded.record.interruption == INTERRUPTED:
        raise KeyboardInterrupt
    return recorded.record


def _ended(entries: journal.Journal, end: Mapping[str, Any], failure: HarnessError | None) -> HarnessError | None:
    """The first failure, which may be that the journal takes no end any more."""
    try:
        entries.write("end", end)
    except HarnessError as full:
        return failure or full
    return failure


def _record(path: Path, known: Mapping[str, Any], end: Mapping[str, Any]) -> RunRecord:
    """The journal's record, with what a full disk took from the journal: its end, or its beginning as well."""
    if not path.stat().st_size:
        return RunRecord(**known, **end, state="partial", environment=NOWHERE, variants=())
    record = journal.read(path)
    return record if record.interruption != journal.NO_END else record.model_copy(update=end)


@contextlib.contextmanager
def logging_to(path: Path) -> Generator[None]:
    """Keeps warnings of the target and of libraries out of the terminal; no warning, no file."""
    log_file = _LogFile(path, delay=True)
    log_file.setFormatter(_WithoutSecrets("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.getLogger().addHandler(log_file)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(log_file)
        with contextlib.suppress(OSError):
            log_file.close()


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 -- the name is logging's
        """A full disk costs a line of the log, and no traceback on the terminal."""


class _WithoutSecrets(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return without_secrets(super().format(record))


async def terminable(work: Coroutine[None, None, None]) -> None:
    """Ends the work at the first signal that asks for it, cleaned up. Later ones change nothing: tox sends three."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def end() -> None:
        for sent in heeded():
            loop.remove_signal_handler(sent)
            signal.signal(sent, signal.SIG_IGN)
        task.cancel()

    for sent in heeded():
        loop.add_signal_handler(sent, end)
    await task


def interruption_told(directory: Path, made_for: Mapping[str, Any]) -> str:
    """Only a run of strategies can go on: checkouts of revisions are gone with theirs, and a search begins anew."""
    run = shlex.quote(str(directory))
    goes_on = "" if made_for else f"Go on with `harness run --resume {run}`, or see it as it is: "
    return f"Interrupted: what was measured until now is kept. {goes_on}`harness report {run}`."


def header(
    chosen: Scenario,
    run_id: str,
    declared: Mapping[str, Any] = MappingProxyType({}),
    made_for: MadeFor | None = None,
) -> Mapping[str, Any]:
    """Says what is known of a run before it starts; `declared` is kept of its scenario in place of what that says."""
    return all_without_secrets(
        {
            "schema_version": SCHEMA_VERSION,
            "run_id": run_id,
            "started_at": datetime.now(UTC).isoformat(),
            "command": ["harness", *map(redacted, sys.argv[1:])],
            "scenario": {**chosen.model_dump(mode="json"), **declared},
            "corpus": dict(chosen.contents()),
            **({"checkout": checkout.model_dump(mode="json")} if (checkout := current_checkout()) else {}),
            **({MADE_FOR[type(made_for)]: made_for.model_dump()} if made_for else {}),
        }
    )
