"""Processes that share one variant's pass where one core is not enough: started, kept in step, and merged.

Each drives its share of every phase on a target of its own, as `worker.py` says. No sample is lost or sent twice: a
request belongs to one of them, and one that ends before its time ends the run.
"""

import asyncio
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from harness.children import environment, modules_of_ours, python
from harness.errors import HarnessError
from harness.journal import Journal
from harness.measuring.observation import Reading
from harness.measuring.passes import CLOCK, Beside, Observe, Watch, cache_figures, unpaced, unwatched
from harness.measuring.progress import Progress
from harness.measuring.scenario import Phase, Scenario
from harness.measuring.servers.lifeline import hold
from harness.measuring.turns import Gate
from harness.measuring.worker import Task
from harness.record import PhaseRecord, Sample

LINE_LIMIT: Final = 2**24
COMPLAINT_LIMIT: Final = 2_000
ENDING_S_MAX: Final = 10.0

Entry = dict[str, Any]
Take = Callable[[str, Entry], None]


@dataclass(frozen=True, slots=True)
class Worker:
    """One of the processes, and where it complains to."""

    name: str
    process: asyncio.subprocess.Process
    complaints: Any

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def told(self, kind: str, take: Take) -> Entry:
        """The next entry of this kind; what comes before it is taken. Raises `HarnessError` when it does not come."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            entry: Entry = json.loads(line)
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
async def working(tasks: Sequence[Task], interpreter: Interpreter | None = None) -> AsyncGenerator[Sequence[Worker]]:
    """A worker for each task. They are gone when the block or this process ends, however it does."""
    interpreter = interpreter or this_interpreter()
    workers: list[Worker] = []
    try:
        for number, task in enumerate(tasks, start=1):
            workers.append(await _start(f"Worker {number} of {len(tasks)} of {task.variant}", interpreter))
            workers[-1].tell(task.model_dump_json())
        yield workers
    finally:
        await asyncio.gather(*map(_end, workers))


async def _start(name: str, interpreter: Interpreter) -> Worker:
    """In a session of its own, Ctrl-C does not reach it."""
    complaints = tempfile.TemporaryFile()  # noqa: SIM115 -- closed with its worker.
    process = await asyncio.create_subprocess_exec(
        *python("-m", "harness.worker", program=interpreter.program),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=complaints,
        env=interpreter.environment,
        start_new_session=True,
        limit=LINE_LIMIT,
    )
    assert process.stdin is not None
    hold(process.stdin.get_extra_info("pipe"))
    return Worker(name, process, complaints)


async def _end(worker: Worker) -> None:
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


@dataclass(frozen=True, slots=True)
class SharedPass:
    """What one variant is asked in one round, by several workers, and where their answers are noted."""

    scenario: Scenario
    variant: str
    workers: Sequence[Worker]
    journal: Journal
    progress: Progress
    beside: Beside
    observe: Observe
    turn: Gate = unpaced
    watch: Watch = unwatched

    async def measure(self) -> None:
        """The timed pass, phase by phase, each slice begun by all workers at once."""
        await self._all_tell("ready")
        zero = CLOCK.now()
        for number, phase in enumerate(self.scenario.phases):
            if number:
                await self._all_tell("ready")
            await self._measure(phase, zero)
        ends = await self._all_tell("variant_end")
        self.journal.write("variant_end", end_of_all(ends))
        await self._all_tell("done")

    async def _measure(self, phase: Phase, zero: float) -> None:
        timed, whole, told = Reading(), Reading(), list[Entry]()
        for left in reversed(range(self.scenario.slices)):
            await self.turn()
            self.progress.phase(self.variant, phase.name, phase.timed(self.scenario.seed), phase.duration_s)
            before = await self.observe("whole"), await self.observe("timed")
            async with self.beside(phase, zero, CLOCK.now()):
                for worker in self.workers:
                    worker.tell("go")
                told = await self._all_tell("ready" if left else "phase")
            timed = timed.plus((await self.observe("timed")).since(before[1]))
            whole = whole.plus((await self.observe("whole")).since(before[0]))
        self.progress.phase_end(self.variant, phase.name)
        record = phase_of_all([self._phase(entry) for entry in told])
        # What the workers count of themselves is not to be seen from here.
        counters = {**timed.values, **whole.values, **record.counters}
        missing = {**timed.missing, **whole.missing}
        uncounted = {name: why for name, why in missing.items() if name not in counters}
        self.journal.phase(self.variant, record.model_copy(update={"counters": counters, "uncounted": uncounted}))

    def _phase(self, entry: Entry) -> PhaseRecord:
        del entry["variant"]
        return PhaseRecord.model_validate(entry)

    async def _all_tell(self, kind: str) -> list[Entry]:
        async with asyncio.TaskGroup() as group:
            telling = [group.create_task(worker.told(kind, self._take)) for worker in self.workers]
        return [each.result() for each in telling]

    def _take(self, kind: str, entry: Entry) -> None:
        if kind != "sample":
            raise HarnessError(f"A worker told {kind!r} out of turn. All workers have to be of this revision.")
        variant = entry.pop("variant")
        sample = Sample.model_validate(entry)
        self.journal.sample(variant, sample)
        self.progress.sample(sample)
        self.watch(variant, sample)


def phase_of_all(records: Sequence[PhaseRecord]) -> PhaseRecord:
    """One phase from what each worker has done of it."""
    return records[0].model_copy(
        update={
            "users": _sum_of_known(record.users for record in records),
            "rate_per_s_target": _sum_of_known(record.rate_per_s_target for record in records),
            "planned": _sum_of_known(record.planned for record in records),
            "processes": len(records),
            "started": sum(record.started for record in records),
            "dropped": sum(record.dropped for record in records),
            "started_s": min(record.started_s for record in records),
            "ended_s": max(record.ended_s for record in records),
            "counters": added(record.counters for record in records),
            # Readings of several processes are of different moments.
            "levels": records[0].levels if len(records) == 1 else None,
            "drain_s": max((record.drain_s for record in records if record.drain_s is not None), default=None),
        }
    )


def end_of_all(ends: Sequence[Entry]) -> Entry:
    """The end of a variant from what each worker has counted; the first says what is the same for all."""
    cache = added({name: n for name, n in end["cache"].items() if name != "hit_rate"} for end in ends)
    kinds = sorted({work["kind"] for end in ends for work in end["background"]})
    return {
        **ends[0],
        "drain_s": max(end["drain_s"] for end in ends),
        "cache": cache_figures(cache),
        "pool": added(end["pool"] for end in ends),
        "background": [{"kind": kind, **added(_of_kind(ends, kind))} for kind in kinds],
    }


def added(counters: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    total: Counter[str] = Counter()
    for each in counters:
        total.update(each)
    return dict(total)


def _of_kind(ends: Sequence[Entry], kind: str) -> Iterable[Mapping[str, int]]:
    for end in ends:
        for work in end["background"]:
            if work["kind"] == kind:
                yield {name: count for name, count in work.items() if name != "kind"}


def _sum_of_known(numbers: Iterable[float | None]) -> float | None:
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None
