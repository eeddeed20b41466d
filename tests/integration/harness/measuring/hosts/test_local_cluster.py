"""Workers on hosts of a dask cluster, all of it on this machine: nothing is lost, whatever happens to a host."""

import asyncio
import re
from collections.abc import Generator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest

from harness import journal
from harness.errors import HarnessError
from harness.measuring import scenario_files
from harness.measuring.clock import new_event_loop
from harness.measuring.hosts import hosts_of
from harness.measuring.hosts.here import ThisMachine
from harness.measuring.hosts.protocol import Hosts
from harness.record import VariantRecord
from harness.samples import Sample
from tests.clusters import measured, samples_come

pytestmark = pytest.mark.needs("cluster")

WORKERS = 3


@pytest.fixture(scope="module")
def loop() -> Generator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="module")
def cluster(loop: asyncio.Runner) -> Generator[Hosts]:
    stack = AsyncExitStack()
    yield loop.run(stack.enter_async_context(hosts_of(f"local:{WORKERS}")))
    loop.run(stack.aclose())


@pytest.fixture
def doomed(loop: asyncio.Runner) -> Generator[Hosts]:
    """A cluster of which a host is killed."""
    stack = AsyncExitStack()
    yield loop.run(stack.enter_async_context(hosts_of(f"local:{WORKERS}")))
    loop.run(stack.aclose())


def asked(variant: VariantRecord) -> Sequence[tuple[object, ...]]:
    """Which worker was to start what and when: what is not drawn anew each time."""
    return sorted(
        (sample.phase, round(sample.intended_s - _begun_s(variant, sample), 6), sample.operation, sample.worker)
        for sample in variant.samples
    )


def _begun_s(variant: VariantRecord, sample: Sample) -> float:
    return next(phase.started_s for phase in variant.phases if phase.name == sample.phase)


def dask_worker(name: str) -> psutil.Process:
    """The last of this process that is called so."""
    found = [each for each in psutil.Process().children() if name in each.cmdline()]
    return max(found, key=lambda each: each.create_time())


@pytest.mark.slow
def test_a_cluster_starts_what_as_many_processes_start_sample_for_sample(
    loop: asyncio.Runner, cluster: Hosts, tmp_path: Path
) -> None:
    here = loop.run(measured(tmp_path / "here", ThisMachine(WORKERS), 0.5))
    there = loop.run(measured(tmp_path / "there", cluster, 0.5))
    assert asked(there) == asked(here)
    whole = scenario_files.load_scenario("cluster").phases[0].model_copy(update={"time_s": 0.5})
    assert there.phases[0].planned == whole.timed(1) == 100
    for phase in there.phases:
        assert [worker.host for worker in phase.workers] == ["local-1", "local-2", "local-3"]
        assert all(worker.planned == worker.started == worker.received for worker in phase.workers)
        assert sum(worker.started for worker in phase.workers) == phase.started == phase.planned
        # Their clock is this machine's, which is found out: nothing is moved.
        assert all(worker.ahead_s == (0.0, 0.0) for worker in phase.workers)


@pytest.mark.slow
def test_a_host_that_stands_still_for_three_seconds_loses_no_sample_and_delays_no_start(
    loop: asyncio.Runner, cluster: Hosts, tmp_path: Path
) -> None:
    """What carries samples is stopped, and not the worker, which waits for nobody."""

    async def stop() -> None:
        await samples_come(tmp_path / "run")
        dask_worker("local-2").suspend()
        await asyncio.sleep(3.0)
        dask_worker("local-2").resume()

    variant = loop.run(measured(tmp_path / "run", cluster, 2.0, stop))
    steady = variant.phases[0]
    assert [worker.received for worker in steady.workers] == [134, 133, 133]
    # Had it waited for who reads, its starts after that would have come up to three seconds late.
    assert max(sample.lateness_s for sample in variant.samples if sample.worker == 1) < 2.0
    assert all(phase.started == phase.planned for phase in variant.phases)


@pytest.mark.nightly  # `tests/acceptance/test_cluster.py` kills a host of a whole run.
def test_a_host_that_dies_ends_the_run_soon_and_is_named_and_what_all_had_sent_is_kept(
    loop: asyncio.Runner, doomed: Hosts, tmp_path: Path
) -> None:
    async def kill() -> None:
        await samples_come(tmp_path / "run")
        dask_worker("local-3").kill()

    with pytest.raises(ExceptionGroup) as raised:
        loop.run(measured(tmp_path / "run", doomed, 200.0, kill))
    failures = [each for each in _leaves(raised.value) if isinstance(each, HarnessError)]
    (failure,) = failures
    assert str(failure).startswith("Worker 3 of 3 of null on local-3 is lost: its dask worker has ended.")
    assert re.search(
        r"Of its 13,333 starts in steady \(3, 6, 9 … of the schedule\) 13,[0-9]{3} are missing\.$", str(failure)
    )
    kept = journal.read(tmp_path / "run" / journal.FILE_NAME)
    assert kept.state == "partial"
    assert {sample.worker for sample in kept.variants[0].samples} == {0, 1, 2}


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for each in group.exceptions
        for leaf in (_leaves(each) if isinstance(each, BaseExceptionGroup) else [each])
    ]
