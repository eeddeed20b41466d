"""`python -m harness.worker`: part of a run in a process of its own, such as a side of a comparison of revisions.

Its caller may be of another version, so this is a protocol; a change that an older side could not follow makes a new
`PROTOCOL`.

Standard input: a line of JSON, which is a `Task`, and after `ready` the line `go`. A task that is `paced` has a `ready`
before each slice of a phase and waits for a `go` each time, so that all workers of a run keep step; it ends when its
caller does. `go {"at": 12.5}` is for the moment 12.5 of the worker's own clock; one that hears it later refuses.

Standard output: lines of JSON, each with a `kind`. To `prepare`: `prepared`, whose fields say what there is now. To
`measure`: `ready` when everything is done that is not timed; after `go` the entries of a journal; then `done`. To
either, at any time: `failed`, with an `error` for people. Where that is a file, a worker waits for no reader.
"""

import asyncio
import contextlib
import hashlib
import json
import os
import sys
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final, Literal, assert_never

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from harness.errors import HarnessError, UsageError
from harness.failures import foreseen
from harness.journal import Entries
from harness.measuring.arrivals.protocol import Share
from harness.measuring.clock import Clock, new_event_loop
from harness.measuring.driving import LocalWorker
from harness.measuring.observation import Reading
from harness.measuring.operations import Workload
from harness.measuring.passes import Pass, Surroundings, measure
from harness.measuring.probes.cpu_quota import CpuQuota
from harness.measuring.probes.database_counters import UNTOLD, DatabaseCounters
from harness.measuring.probes.host_cpu import host_cpu
from harness.measuring.probes.protocol import CountedSpan, NotObserved
from harness.measuring.progress import Silent
from harness.measuring.scenario import Scenario
from harness.measuring.scenario_files import parsed
from harness.measuring.targets import open_target
from harness.measuring.targets.protocol import TargetContext
from harness.mistakes import first_mistake
from harness.quantities import duration

PROTOCOL: Final = 1
STANDARD_OUTPUT: Final = 1
STANDARD_ERROR: Final = 2


class Task(BaseModel):
    """Says what a worker is to do for a variant on a database of its own. What has a default is for `measure`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    protocol: Literal[1] = PROTOCOL
    """The version of this format."""
    task: Literal["prepare", "measure"]
    """Whether the database is to be prepared, or a pass to be measured."""
    scenario: dict[str, Any]
    """The scenario, as JSON."""
    variant: str
    """The variant's name in the record."""
    strategy: str
    """The variant that the target knows it as."""
    database_url: str
    """The database of the variant."""
    embedding_url: str | None = None
    """The embedding server; None where vectors are made in the process."""
    redis_url: str | None = None
    """The Redis of the run; None where there is none."""
    service_url: str | None = None
    """Where the service has been started for all workers; None where each starts its own, or there is none."""
    round: int = 1
    """The round, counted from 1."""
    share: tuple[int, int] = (0, 1)
    """Which part of the load is this worker's: a number from 0, and of how many parts."""
    weights: tuple[int, ...] = ()
    """How large the parts are beside each other; empty where they are equal."""
    requests: str = ""
    """The digest of all that the caller would send; empty where both have the same files."""
    paced: bool = False
    """Whether it waits before each turn until its parent lets it go on."""
    ends_when_told: bool = False
    """Whether it waits so as well before it asks its target what the parent's counters would count."""


class CallerGone(HarnessError):
    """Nobody reads what is written: there is nothing left to measure for, and nobody to tell."""


class Lines(Entries):
    """Entries as lines of a pipe, each in one write."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, kind: str, entry: Mapping[str, Any]) -> None:
        """Raises `CallerGone`."""
        line = json.dumps({"kind": kind, **entry}, separators=(",", ":"), allow_nan=False).encode() + b"\n"
        while line:
            try:
                line = line[os.write(self._descriptor, line) :]
            except BrokenPipeError as error:
                raise CallerGone("the process that this worker measures for is gone") from error


class Caller:
    """The other end of standard input."""

    def __init__(self, standard_input: asyncio.StreamReader) -> None:
        self._input = standard_input
        self._told_to_go: asyncio.Queue[float | None] = asyncio.Queue()

    async def task(self) -> Task:
        return Task.model_validate_json(await self._input.readline())

    async def says_go(self) -> bool:
        """False when it is gone."""
        return bool(await self._input.readline())

    async def told_to_go(self) -> float | None:
        """The moment that was told with it; None is at once."""
        return await self._told_to_go.get()

    @asynccontextmanager
    async def watched(self) -> AsyncGenerator[None]:
        """Listens for each `go`, and cancels the block when the caller is gone."""
        block = asyncio.current_task()
        assert block is not None

        async def listen() -> None:
            while line := await self._input.readline():
                self._told_to_go.put_nowait(_moment_in(line))
            block.cancel()

        listening = asyncio.create_task(listen())
        try:
            yield
        finally:
            listening.cancel()


def _moment_in(line: bytes) -> float | None:
    stated = line.removeprefix(b"go").strip()
    return float(json.loads(stated)["at"]) if stated else None


async def work(caller: Caller, lines: Lines) -> None:
    task = await caller.task()
    scenario = parsed(task.scenario)
    match task.task:
        case "prepare":
            lines.write("prepared", await prepare(task, scenario))
        case "measure":
            await measure_share(task, scenario, caller, lines)
            lines.write("done", {})
        case _:
            assert_never(task.task)


async def prepare(task: Task, scenario: Scenario) -> Mapping[str, Any]:
    """Makes the schema that this revision's strategy needs, and loads the corpus."""
    target = open_target(scenario)
    version = target.schema_version(task.strategy)
    await target.prepare(task.database_url, version)
    return {
        "schema_version": version,
        "description": target.variants()[task.strategy],
        "corpus": scenario.contents()["fingerprint"],
        "requests": "" if scenario.draws_from_database else digest(scenario.workload_of(1)),
    }


def digest(workload: Workload) -> str:
    """Of all that is asked, as a list of Python's would show it: two sides whose requests differ cannot be compared."""
    if workload.digest is not None:
        return workload.digest
    asked = (
        (phase, request.operation, sorted(request.arguments.items()))
        for phase, requests in workload.by_phase.items()
        for request in requests
    )
    found = hashlib.sha256(b"[")
    # One by one, since the text of ten million would take gigabytes.
    for number, each in enumerate(asked):
        found.update(f"{', ' if number else ''}{each!r}".encode())
    found.update(b"]")
    return found.hexdigest()


def drawn_digest(scenario: Mapping[str, Any]) -> str:
    """Of the first round of a scenario as a worker gets it. Raises `UsageError`, which can be sent to another host."""
    try:
        return digest(parsed(scenario).workload_of(1))
    except ValidationError as error:
        raise UsageError(first_mistake(error)) from None


async def measure_share(task: Task, scenario: Scenario, caller: Caller, lines: Lines) -> None:
    share = Share(*task.share, task.weights)
    workload = scenario.workload_of(task.round)
    if task.requests and task.requests != digest(workload):
        raise HarnessError(
            "it would send other requests than the coordinator: bring the files that the scenario names to this host"
        )
    side_by_side = len(share.part(range(scenario.side_by_side)))
    context = TargetContext(
        task.strategy,
        task.database_url,
        max(1, side_by_side),
        task.embedding_url,
        task.redis_url,
        task.service_url,
    )
    surroundings = InStep(caller, lines, ends_when_told=task.ends_when_told) if task.paced else Surroundings()
    measured = Pass(scenario, task.variant, task.round, lines, Silent(), surroundings)
    async with open_target(scenario).open(context) as target:
        worker = LocalWorker(measured, workload, target, share, plans_late=task.ends_when_told)
        if task.paced:
            async with caller.watched():
                await worker.prepare()
                await measure(measured, [worker])
            return
        await worker.prepare()
        lines.write("ready", {})
        if await caller.says_go():
            await measure(measured, [worker])


class InStep(Surroundings):
    """Waits for the caller before each slice, and reads of this process what the caller's probes do not see."""

    def __init__(self, caller: Caller, lines: Lines, *, ends_when_told: bool) -> None:
        self._caller = caller
        self._begins_at: float | None = None
        self._ends_when_told = ends_when_told
        self._lines = lines

    async def turn(self) -> None:
        self._lines.write("ready", {})
        self._begins_at = await self._caller.told_to_go()

    async def begun(self, clock: Clock, lead_s: float) -> float:
        """The moment that was told. Raises `HarnessError` when it has passed: then nobody has begun with the others."""
        if self._begins_at is None:
            return clock.now() + lead_s
        late_s = clock.now() - self._begins_at
        if late_s > 0:
            raise HarnessError(
                f"late: it heard of the start {duration(late_s)} after it, so the phase did not begin. Run it again, "
                "where the network or the machine answers sooner"
            )
        await clock.until(self._begins_at)
        return self._begins_at

    async def over(self) -> None:
        if self._ends_when_told:
            await self._caller.told_to_go()

    async def observe(self, span: CountedSpan, *, flushed: bool, before: bool) -> Reading:
        del before
        if span == "timed":
            return Reading({"timed_client_cpu_s": time.process_time(), **machine_counts()})
        memory_bytes = psutil.Process().memory_info().rss
        return Reading(
            {"client_cpu_s": time.process_time(), "client_memory_bytes": float(memory_bytes)},
            {} if flushed else dict.fromkeys(DatabaseCounters.counters, UNTOLD),
        )


def machine_counts() -> Mapping[str, float]:
    """Counts of the machine that this process is on, which may be another than its caller's."""
    counted: dict[str, float] = {}
    for read in (host_cpu, CpuQuota().counts):
        with contextlib.suppress(NotObserved):
            counted |= read()
    return counted


async def main() -> None:
    """Keeps standard output to itself: what a library prints goes to standard error."""
    lines = Lines(os.dup(STANDARD_OUTPUT))
    os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)
    standard_input = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(standard_input), sys.stdin)
    with contextlib.suppress(CallerGone):
        try:
            await work(Caller(standard_input), lines)
        except ValidationError as error:
            lines.write("failed", {"error": first_mistake(error)})
        except Exception as error:  # noqa: BLE001 -- the caller, who keeps what was measured, is told of any
            lines.write("failed", {"error": str(foreseen(error))})


def run() -> None:
    """Works until its caller is content, or gone."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner, contextlib.suppress(asyncio.CancelledError):
        runner.run(main())


if __name__ == "__main__":
    run()
