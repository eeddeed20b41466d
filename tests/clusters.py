"""What tests of hosts share: a pass of the scenario `cluster` by workers on them."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from harness import journal
from harness.measuring import scenario_files
from harness.measuring.arrivals.protocol import Share
from harness.measuring.hosts.protocol import Hosts
from harness.measuring.passes import Pass, all_of, measure
from harness.measuring.progress import Silent
from harness.measuring.recording import header
from harness.measuring.worker import Task
from harness.measuring.worker_processes import Part, ProcessWorker, working
from harness.record import VariantRecord
from tests.waiting import until


async def measured(
    directory: Path, hosts: Hosts, time_s: float, beside: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> VariantRecord:
    """The scenario `cluster` with phases of this length, and with what is done in the middle of the first."""
    workers_total = len(hosts.places)
    chosen = scenario_files.load_scenario("cluster")
    chosen = chosen.model_copy(
        update={"phases": tuple(phase.model_copy(update={"time_s": time_s}) for phase in chosen.phases)}
    )
    tasks = [
        Task(
            task="measure",
            scenario=chosen.for_worker,
            variant="null",
            strategy="null",
            database_url="",
            share=(index, workers_total),
            paced=True,
            ends_when_told=True,
        )
        for index in range(workers_total)
    ]
    with journal.open_journal(directory) as entries:
        entries.write("run", header(chosen, "run"))
        entries.write("variant", {"name": "null", "description": "", "schema_version": 0})
        async with working(tasks, hosts=hosts) as processes:
            measured_pass = Pass(chosen, "null", 1, entries, Silent())
            workers = [
                ProcessWorker(
                    measured_pass,
                    process,
                    flushed=True,
                    ends_when_told=True,
                    part=Part(number, place.host, True, Share(number, workers_total)),
                )
                for number, (process, place) in enumerate(zip(processes, hosts.places, strict=True))
            ]
            await all_of(worker.prepare() for worker in workers)
            async with asyncio.TaskGroup() as group:
                if beside is not None:
                    group.create_task(beside())
                await measure(measured_pass, workers)
    return journal.read(directory / journal.FILE_NAME).variants[0]


async def samples_come(directory: Path) -> None:
    """Returns in the middle of the first phase."""

    async def some_are_there() -> bool:
        return (directory / journal.FILE_NAME).read_bytes().count(b'"kind":"sample"') > 60

    await until(some_are_there)
