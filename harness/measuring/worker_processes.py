"""Workers in processes of their own, where one core is not enough or another revision is meant.

Each drives its share of every phase on a target of its own, as `worker.py` says. No sample is lost or sent twice: a
request belongs to one of them, and one that ends before its time ends the run.
"""

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from harness.children import environment, line_beginning, modules_of_ours, python
from harness.errors import HarnessError
from harness.measuring.passes import Entry, Pass, PassTime
from harness.measuring.scenario import Phase
from harness.measuring.servers.lifeline import start
from harness.measuring.worker import Task
from harness.record import PhaseRecord, Sample

LINE_LIMIT: Final = 2**24
ENTRY: Final = b'{"kind":'
COMPLAINT_LIMIT: Final = 2_000
ENDING_S_MAX: Final = 10.0

Said = dict[str, Any]
"""What a worker says in a line."""

Take = Callable[[str, Said], None]


@dataclass(frozen=True, slots=True)
class Process:
    """A process that works, and where it complains to."""

    name: str
    process: asyncio.subprocess.Process
    complaints: Any

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def received(self, kind: str, take: Take) -> Said:
        """The next entry of this kind; what comes before it is taken. Raises `HarnessError` when it does not come."""
        assert self.process.stdout is not None
        while line := await line_beginning(self.process.stdout, ENTRY):
            entry: Said = json.loads(line)
            match entry.pop("kind"):
                case "failed":
                    raise HarnessError(f"{self.name} failed: {entry['error']}")
                case found if found == kind:
                    return entry
                case other:
                    take(other, entry)
        raise HarnessError(await self._epitaph())

    async def _epitaph(self) -> str:
        code = await self.process.wait()
        self.complaints.seek(0)
        complaint = self.complaints.read()[-COMPLAINT_LIMIT:].decode(errors="replace").strip()
        return (
            f"{self.name} ended before its time (exit code {code}), and what it had not sent is lost. What all of them "
            f"had sent is kept. Run it again{f'. It said: {complaint}' if complaint else '.'}"
        )


@dataclass(frozen=True, slots=True)
class Interpreter:
    """The program that runs a worker, and the environment in which it finds the harness."""

    program: str
    environment: Mapping[str, str]


def this_interpreter() -> Interpreter:
    """Finds modules where this process does."""
    return Interpreter(sys.executable, environment(**modules_of_ours()))


@asynccontextmanager
async def working(tasks: Sequence[Task], interpreter: Interpreter | None = None) -> AsyncGenerator[Sequence[Process]]:
    """A worker for each task. They are gone when the block or this process ends, however it does."""
    interpreter = interpreter or this_interpreter()
    workers: list[Process] = []
    try:
        for number, task in enumerate(tasks, start=1):
            workers.append(await _start(f"Worker {number} of {len(tasks)} of {task.variant}", interpreter))
            workers[-1].tell(task.model_dump_json(exclude_defaults=True))
        yield workers
    finally:
        await asyncio.gather(*map(_end, workers))


async def _start(name: str, interpreter: Interpreter) -> Process:
    complaints = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with its worker.
    command = python("-m", "harness.worker", program=interpreter.program)
    process = await start(*command, env=interpreter.environment, stderr=complaints, line_bytes_max=LINE_LIMIT)
    return Process(name, process, complaints)


async def _end(worker: Process) -> None:
    """It closes what it has opened when it finds itself alone; one that does not is killed."""
    assert worker.process.stdin is not None
    worker.process.stdin.close()
    try:
        await asyncio.wait_for(worker.process.wait(), ENDING_S_MAX)
    except TimeoutError:
        worker.process.kill()
        await worker.process.wait()
    finally:
        worker.complaints.close()


class ProcessWorker:
    """A worker in another process, maybe of another revision, which measures its own pass between lines of a pipe.

    It settles before it says anything of a slice, so to drive it is to wait for that as well.
    """

    def __init__(self, measured: Pass, process: Process, *, flushed: bool, ends_when_told: bool = False) -> None:
        self.flushed = flushed
        self._ends_when_told = ends_when_told
        self._pass = measured
        self._process = process
        self._record: PhaseRecord | None = None

    async def prepare(self) -> None:
        """Returns when everything is done that is not timed."""
        await self._received("ready")

    async def drive(self, phase: Phase, number: int, time: PassTime) -> None:
        """Its time is its own: offsets from its first request."""
        del time
        self._process.tell("go")
        if number + 1 < self._pass.scenario.slices:
            await self._received("ready")
            return
        entry = await self._received("phase")
        del entry["variant"]
        self._record = PhaseRecord.model_validate(entry)
        if phase is not self._pass.scenario.phases[-1]:
            await self._received("ready")

    async def settle(self) -> PhaseRecord | None:
        record, self._record = self._record, None
        return record

    async def end(self) -> Entry:
        if self._ends_when_told:
            self._process.tell("go")
        entry = await self._received("variant_end")
        await self._received("done")
        return entry

    async def _received(self, kind: str) -> Said:
        return await self._process.received(kind, self._take)

    def _take(self, kind: str, entry: Said) -> None:
        if kind != "sample":
            raise HarnessError(f"A worker told {kind!r} out of turn. All workers have to be of this revision.")
        del entry["variant"]
        self._pass.note(Sample.model_validate(entry))
