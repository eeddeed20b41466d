"""Workers in processes of their own: where one core is not enough, on other hosts, or of another revision.

Each drives its share of every phase on a target of its own, as `worker.py` says. No sample is lost or sent twice: a
request belongs to one of them, and one that ends before its time ends the run.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count as naturals
from itertools import islice
from typing import Any, Final

from harness.errors import HarnessError
from harness.measuring.arrivals.protocol import WHOLE, Share
from harness.measuring.clock_lines import ClockLine, ClockOffset, measured_offset
from harness.measuring.hosts.here import ThisMachine
from harness.measuring.hosts.protocol import HostLost, Hosts, Interpreter, Moments, Slot
from harness.measuring.passes import Entry, Pass, PassTime
from harness.measuring.probes.cpu_quota import CpuQuota
from harness.measuring.probes.host_cpu import HostCpu
from harness.measuring.scenario import Phase
from harness.measuring.worker import Task
from harness.quantities import count
from harness.record import PhaseRecord, WorkerRecord
from harness.samples import SAMPLES

OF_HOST: Final = frozenset(name for probe in (HostCpu(), CpuQuota()) for name in probe.counters)
"""What a worker counts of the whole machine that it is on: in sums over workers it would count more than once."""

ENTRY: Final = b'{"kind":'

Said = dict[str, Any]
"""What a worker says in a line."""

Take = Callable[[str, Said], None]


class Process:
    """A worker as its caller hears it: entry by entry, from wherever it runs."""

    def __init__(self, name: str, slot: Slot) -> None:
        self.name = name
        self.slot = slot
        self._position = 0
        self._unread: list[bytes] = []

    async def tell(self, line: str) -> None:
        try:
            await self.slot.tell(line)
        except HostLost as error:
            raise self._lost(error) from error

    async def moments(self) -> Moments:
        try:
            return await self.slot.moments()
        except HostLost as error:
            raise self._lost(error) from error

    async def received(self, kind: str, take: Take) -> Said:
        """The next entry of this kind; what comes before it is taken. Raises `HarnessError` when it does not come."""
        while True:
            entry: Said = json.loads(await self._line())
            match entry.pop("kind"):
                case "failed":
                    raise HarnessError(f"{self.name} failed: {entry['error']}")
                case found if found == kind:
                    return entry
                case other:
                    take(other, entry)

    async def _line(self) -> bytes:
        """The next that is an entry: others are of a `sitecustomize`, which prints before the worker's own code."""
        while True:
            while self._unread:
                if (line := self._unread.pop()).startswith(ENTRY):
                    return line
            try:
                block = await self.slot.read(self._position)
            except HostLost as error:
                raise self._lost(error) from error
            if block.exit_code is not None:
                raise HarnessError(self._epitaph(block.exit_code, block.complaint))
            self._position += len(block.data)
            self._unread = block.data.splitlines()[::-1]

    def _epitaph(self, code: int, complaint: str) -> str:
        return (
            f"{self.name} ended before its time (exit code {code}), and what it had not sent is lost. What all of them "
            f"had sent is kept. Run it again{f'. It said: {complaint}' if complaint else '.'}"
        )

    def _lost(self, error: HostLost) -> HostLost:
        return HostLost(
            f"{self.name} is lost: {error}. What all of them had sent is kept. See to that host, and run it again."
        )


@asynccontextmanager
async def working(
    tasks: Sequence[Task], interpreter: Interpreter | None = None, hosts: Hosts | None = None
) -> AsyncGenerator[Sequence[Process]]:
    """A worker for each task. They are gone when the block or this process ends, however it does."""
    hosts = hosts or ThisMachine(len(tasks))
    workers: list[Process] = []
    try:
        for number, task in enumerate(tasks):
            slot = await hosts.start(number, task.model_dump_json(exclude_defaults=True), interpreter)
            where = f" on {hosts.places[number].host}" if hosts.is_apart else ""
            workers.append(Process(f"Worker {number + 1} of {len(tasks)} of {task.variant}{where}", slot))
        yield workers
    finally:
        await asyncio.gather(*(worker.slot.end() for worker in workers))


@dataclass(frozen=True, slots=True)
class Part:
    """Says which part of a run is a worker's, by its number from 0, and where, by the name of the host."""

    worker: int
    host: str
    is_apart: bool = False
    share: Share = WHOLE


class ProcessWorker:
    """A worker in another process, maybe of another revision, which measures its own pass and tells of it.

    It settles before it says anything of a slice, so to drive it is to wait for that as well. With a `part` it is one
    of several, all of whom begin at one moment that each has been told in its own clock.
    """

    def __init__(
        self,
        measured: Pass,
        process: Process,
        *,
        flushed: bool,
        ends_when_told: bool = False,
        part: Part | None = None,
    ) -> None:
        self.flushed = flushed
        self._ends_when_told = ends_when_told
        self._pass = measured
        self._process = process
        self._part = part
        self._record: PhaseRecord | None = None
        self._received_samples = 0
        self._clock = ClockLine()

    async def prepare(self) -> None:
        """Returns when everything is done that is not timed."""
        await self._received("ready")

    async def lead_s(self) -> float:
        """For a worker alone, or one whose turn it is at slices on this machine, there is nobody to begin with."""
        if self._part is None or (self._pass.scenario.slices > 1 and not self._part.is_apart):
            return 0.0
        self._clock.begins(await self._offset())
        return self._clock.lead_s

    async def drive(self, phase: Phase, number: int, time: PassTime) -> None:
        """Its time is its own: offsets from the moment at which it began."""
        try:
            await self._drive(phase, number, time)
        except HostLost as error:
            raise HarnessError(f"{error}{self._missing(phase)}") from error

    async def _drive(self, phase: Phase, number: int, time: PassTime) -> None:
        at = self._clock.there(time.begun)
        await self._process.tell("go" if at is None else f"go {json.dumps({'at': at})}")
        if number + 1 < self._pass.scenario.slices:
            await self._received("ready")
            return
        entry = await self._received("phase")
        del entry["variant"]
        self._record = await self._with_worker(PhaseRecord.model_validate(entry))
        if phase is not self._pass.scenario.phases[-1]:
            await self._received("ready")

    def _missing(self, phase: Phase) -> str:
        """Says how much of a schedule was lost with the worker: nobody else starts it, as it would not be the same."""
        share = self._part.share if self._part else WHOLE
        planned = phase.open(self._pass.scenario.seed).share(share, ())[0].starts
        if planned is None:
            return ""
        theirs = ", ".join(str(number + 1) for number in islice(filter(share.takes, naturals()), 3))
        return (
            f" Of its {count(planned)} starts in {phase.name} ({theirs} … of the schedule) "
            f"{count(planned - self._received_samples)} are missing."
        )

    async def settle(self) -> PhaseRecord | None:
        record, self._record = self._record, None
        return record

    async def end(self) -> Entry:
        if self._ends_when_told:
            await self._process.tell("go")
        entry = await self._received("variant_end")
        await self._received("done")
        return entry

    async def _with_worker(self, record: PhaseRecord) -> PhaseRecord:
        """With what became of this worker's part, and without what its host counts of itself for all who are on it."""
        received, self._received_samples = self._received_samples, 0
        if self._part is None:
            return record
        worker = WorkerRecord(
            worker=self._part.worker,
            host=self._part.host,
            planned=record.planned,
            started=record.started,
            dropped=record.dropped,
            received=received,
            started_s=record.started_s,
            ended_s=record.ended_s,
            counters=record.counters,
        )
        if self._part.is_apart:
            line = self._clock.ends(await self._offset())
            worker = worker.model_copy(
                update={
                    "clock_ahead_s": line.wall_ahead_s,
                    "clock_error_s": line.error_s,
                    "clock_drift_ppm": line.drift_ppm,
                    "ahead_s": (line.ahead_s, line.ahead_s_end),
                }
            )
        counters = {name: value for name, value in record.counters.items() if name not in OF_HOST}
        return record.model_copy(update={"counters": counters, "workers": (worker,)})

    async def _offset(self) -> ClockOffset:
        return await measured_offset(self._process.moments, self._pass.clock, time.time)

    async def _received(self, kind: str) -> Said:
        return await self._process.received(kind, self._take)

    def _take(self, kind: str, entry: Said) -> None:
        if kind != "sample":
            raise HarnessError(f"A worker told {kind!r} out of turn. All workers have to be of this revision.")
        del entry["variant"]
        self._received_samples += 1
        worker = {} if self._part is None else {"worker": self._part.worker}
        self._pass.note(SAMPLES.validate_python(entry | worker))
