"""Workers as processes, on the target that does nothing: nothing is lost or sent twice, and nobody is left behind."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil
import pytest

from harness import journal
from harness.errors import HarnessError
from harness.measuring import scenario_files
from harness.measuring.hosts.here import LocalSlot
from harness.measuring.passes import Pass, Surroundings, all_of, measure
from harness.measuring.progress import Silent
from harness.measuring.recording import header
from harness.measuring.scenario import Scenario
from harness.measuring.turns import Gate, at_once
from harness.measuring.worker import Task
from harness.measuring.worker_processes import Part, Process, ProcessWorker, working
from harness.record import VariantRecord
from tests.waiting import until

WORKERS = 3
NULL = (
    'target="null"',
    "strategies=['null']",
    'baseline="null"',
    'candidate="null"',
    "budgets=[]",
    "corpus.size=50",
    f"workers={WORKERS}",
    (
        'phases=[{workload="mix",warm_up=7,requests=50,arrival={kind="closed_loop",users=4}},'
        '{name="steady",workload="mix",time_s=0.5,arrival={kind="constant_rate",rate_per_s=80}}]'
    ),
)


CUT_INTO_SLICES = (
    *NULL[:-1],
    'phases=[{workload="mix",warm_up=7,requests=50,arrival={kind="closed_loop",users=4}}]',
    "slices=3",
)


def pid_of(worker: Process) -> int:
    assert isinstance(worker.slot, LocalSlot)
    return worker.slot.relay.process.pid


def chosen(settings: Sequence[str] = NULL) -> Scenario:
    return scenario_files.load_scenario("smoke", settings=settings)


def tasks(measured: Scenario) -> list[Task]:
    return [
        Task(
            task="measure",
            scenario=measured.for_worker,
            variant="null",
            strategy="null",
            database_url="",
            share=(index, WORKERS),
            paced=True,
        )
        for index in range(WORKERS)
    ]


class Turns(Surroundings):
    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def turn(self) -> None:
        await self._gate()


async def measured(
    directory: Path,
    interfere: Callable[[Sequence[Process]], None] = lambda _: None,
    settings: Sequence[str] = NULL,
    turn: Gate = at_once,
) -> VariantRecord:
    """The scenario's pass by all workers, with `interfere` called on these before it."""
    chosen_ = chosen(settings)
    with journal.open_journal(directory) as entries:
        entries.write("run", header(chosen_, "run"))
        entries.write("variant", {"name": "null", "description": "", "schema_version": 0})
        async with working(tasks(chosen_)) as processes:
            interfere(processes)
            pass_ = Pass(chosen_, "null", 1, entries, Silent(), Turns(turn))
            workers = [
                ProcessWorker(pass_, process, flushed=False, part=Part(number, "here"))
                for number, process in enumerate(processes)
            ]
            await all_of(worker.prepare() for worker in workers)
            await measure(pass_, workers)
    return journal.read(directory / journal.FILE_NAME).variants[0]


@pytest.mark.slow
async def test_every_request_is_sent_by_one_worker_and_every_sample_is_kept(tmp_path: Path) -> None:
    variant = await measured(tmp_path / "run")
    drawn = chosen().workload_of(1).by_phase
    for name, requests in {"mix": drawn["mix"][7:], "steady": drawn["steady"]}.items():
        sent = Counter((each.operation, each.first_time_text) for each in requests)
        kept = Counter((each.operation, each.first_time_text) for each in variant.samples if each.phase == name)
        assert kept == sent
    mix, steady = variant.phases
    assert (mix.users, mix.started, mix.processes) == (4, 50, WORKERS)
    assert (steady.planned, steady.started) == (40, 40)
    assert steady.rate_per_s_target == pytest.approx(80)
    assert steady.counters["client_cpu_s"] > 0
    intended_s = sorted(each.intended_s for each in variant.samples if each.phase == "steady")
    assert len(set(intended_s)) == 40
    assert variant.complete


@pytest.mark.slow
async def test_slices_are_begun_in_turn_and_the_time_of_other_turns_is_not_counted(tmp_path: Path) -> None:
    waited_s: list[float] = []

    async def turn() -> None:
        begun = time.monotonic()
        await asyncio.sleep(0.3)
        waited_s.append(time.monotonic() - begun)

    begun = time.monotonic()
    variant = await measured(tmp_path / "run", settings=CUT_INTO_SLICES, turn=turn)
    elapsed_s = time.monotonic() - begun
    drawn = chosen(CUT_INTO_SLICES).workload_of(1).by_phase["mix"][7:]
    assert Counter(each.operation for each in variant.samples) == Counter(each.operation for each in drawn)
    (mix,) = variant.phases
    assert (mix.started, mix.processes, len(waited_s)) == (50, WORKERS, 3)
    # The workers wait from the first slice's end to the second's begin; what is left of the time is at most the rest.
    assert mix.ended_s - mix.started_s <= elapsed_s - sum(waited_s[1:])


async def test_a_worker_that_dies_ends_the_run_with_a_sentence_and_the_others_with_it(tmp_path: Path) -> None:
    pids: list[int] = []

    def kill_one(workers: Sequence[Process]) -> None:
        pids.extend(map(pid_of, workers))
        os.kill(pids[1], signal.SIGKILL)

    with pytest.raises(ExceptionGroup) as raised:
        await measured(tmp_path / "run", kill_one)
    (failure,) = raised.value.exceptions
    assert isinstance(failure, HarnessError)
    assert str(failure).startswith("Worker 2 of 3 of null ended before its time (exit code -9)")
    assert not any(map(psutil.pid_exists, pids))


async def test_what_python_prints_before_a_worker_is_no_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('{}')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    async with working([tasks(chosen())[0].model_copy(update={"task": "prepare"})]) as (worker,):
        assert (await worker.received("prepared", lambda *_: None))["schema_version"] == 0


async def test_a_worker_that_cannot_do_its_task_says_why() -> None:
    task = tasks(chosen())[0]
    wrong = task.model_copy(update={"scenario": task.scenario | {"target": "nul"}})
    async with working([wrong]) as (worker,):
        with pytest.raises(HarnessError, match=r"Worker 1 of 1 of null failed: [^$]*Did you mean 'null'\?"):
            await worker.received("ready", lambda *_: None)


async def test_other_requests_than_the_coordinators_are_refused() -> None:
    """As of a trace that is another file on another host."""
    async with working([tasks(chosen())[0].model_copy(update={"requests": "of another trace"})]) as (worker,):
        with pytest.raises(HarnessError, match="failed: it would send other requests than the coordinator: bring the"):
            await worker.received("ready", lambda *_: None)


async def test_a_worker_whose_lines_nobody_reads_ends_without_a_word_and_without_a_log(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    task = tasks(chosen())[0].model_copy(update={"paced": False})
    worker = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "harness.measuring.worker",
        stdin=subprocess.PIPE,
        stdout=write,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    )
    os.close(write)
    assert worker.stdin is not None
    assert worker.stderr is not None
    worker.stdin.write(task.model_dump_json().encode() + b"\n")
    assert await worker.stderr.read() == b""
    assert await worker.wait() == 0
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 -- of one directory, after all is over.


CALLER = """
import asyncio, signal, sys
sys.path.insert(0, {directory!r})
from test_worker_processes import chosen, pid_of, tasks
from harness.measuring.worker_processes import working

# A test run in the background has its children ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def main():
    async with working(tasks(chosen())) as workers:
        for worker in workers:
            await worker.received("ready", print)
        print(*map(pid_of, workers), flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
async def test_no_worker_outlives_its_caller(sent: signal.Signals) -> None:
    program = CALLER.format(directory=str(Path(__file__).parent))
    caller = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert caller.stdout is not None
    pids = [int(pid) for pid in (await caller.stdout.readline()).split()]
    assert len(pids) == WORKERS
    caller.send_signal(sent)
    await caller.wait()

    async def all_are_gone() -> bool:
        return not any(map(psutil.pid_exists, pids))

    await until(all_are_gone)
