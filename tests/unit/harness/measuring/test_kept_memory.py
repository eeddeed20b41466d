"""A leak of a kilobyte for each request is seen in a pass of a thousand, and nothing is seen where nothing is kept."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.journal import Entries
from harness.judging.budget_metrics.memory_growth import growth_per_request
from harness.measuring import scenario_files
from harness.measuring.driving import LocalWorker
from harness.measuring.kept_memory import KEPT, kept_memory, throw_garbage_away
from harness.measuring.operations import Request
from harness.measuring.passes import Pass, measure
from harness.measuring.progress import Silent
from harness.measuring.targets.null import OpenNull
from harness.measuring.targets.protocol import Response
from harness.record import PhaseRecord
from tests.clocks import ManualClock

REQUESTS = 1_000


class Forgetful(Entries):
    """Keeps the phase alone: samples would be a leak of the test's own."""

    ended: PhaseRecord | None = None

    def write(self, kind: str, entry: Mapping[str, Any]) -> None:
        if kind == "phase":
            self.ended = PhaseRecord.model_validate({key: value for key, value in entry.items() if key != "variant"})


class Keeping(OpenNull):
    """Each request leaves something behind."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.kept: list[object] = []
        self.asked = 0

    def keep(self) -> None:
        """Leaves nothing, but garbage that refers to itself."""
        garbage: list[object] = [bytes(1_000)]
        garbage.append(garbage)

    async def perform(self, request: Request) -> Response:
        await self.clock.sleep(0.05)
        self.asked += 1
        self.keep()
        return await super().perform(request)


class KeepingBytes(Keeping):
    def keep(self) -> None:
        self.kept.append(bytes(1_000))


class KeepingObjects(Keeping):
    """About a kilobyte in small ones."""

    def keep(self) -> None:
        self.kept.append([{"number": str(self.asked), "share": self.asked / 7} for _ in range(3)])


class KeepingForAWhile(Keeping):
    """A cache that is full after a third of the phase."""

    def keep(self) -> None:
        if self.asked < REQUESTS / 3:
            self.kept.append(bytes(10_000))


async def growth(target: type[Keeping]) -> float | None:
    clock, noted = ManualClock(), Forgetful()
    phase = f'{{workload="query",requests={REQUESTS},time_s=600,arrival={{kind="closed_loop",users=1}}}}'
    chosen = scenario_files.load_scenario(
        "smoke",
        settings=[
            *('target="null"', "strategies=['null']", 'baseline="null"', 'candidate="null"', "budgets=[]"),
            *("corpus.size=50", f"phases=[{phase}]"),
        ],
    )
    pass_ = Pass(chosen, "null", 1, noted, Silent(), clock=clock)
    worker = LocalWorker(pass_, chosen.workload_of(1), target(clock))
    await worker.prepare()
    await measure(pass_, [worker])
    assert noted.ended is not None
    assert noted.ended.started == REQUESTS
    return growth_per_request(noted.ended, KEPT)


@pytest.fixture(scope="module")
def grown() -> Mapping[str, float]:
    """By the names of classes, in a process that no other test has left anything in."""
    root = Path(__file__).parents[4]
    found = subprocess.run(
        [sys.executable, "-m", "tests.unit.harness.measuring.test_kept_memory"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    growths: Mapping[str, float] = json.loads(found.stdout)
    return growths


@pytest.mark.slow
def test_what_large_blocks_keep_is_told_to_the_byte_almost(grown: Mapping[str, float]) -> None:
    assert grown["KeepingBytes"] == pytest.approx(1_130, rel=0.15)


@pytest.mark.slow
def test_what_many_small_objects_keep_is_told_about(grown: Mapping[str, float]) -> None:
    assert 400 < grown["KeepingObjects"] < 2_000


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Keeping", "KeepingForAWhile"])
def test_garbage_and_a_cache_that_fills_are_no_leak(name: str, grown: Mapping[str, float]) -> None:
    assert grown[name] < 50


def test_the_counters_are_of_this_process_and_go_up_and_down_at_once() -> None:
    before = kept_memory()[KEPT]
    kept = [bytes(5_000) for _ in range(200)]
    assert kept_memory()[KEPT] - before == pytest.approx(1_000_000, rel=0.1)
    kept.clear()
    assert kept_memory()[KEPT] - before == pytest.approx(0, abs=100_000)


async def test_timers_that_were_cancelled_are_thrown_away_before_anything_is_read() -> None:
    """As a time limit of each request leaves them: fewer than asyncio throws away by itself."""
    loop = asyncio.get_running_loop()
    await throw_garbage_away()
    before = kept_memory()[KEPT]
    for _ in range(60):
        loop.call_later(60, bytes(10_000).hex).cancel()
    garbage: list[object] = [bytes(1_000_000)]
    garbage.append(garbage)
    del garbage
    await asyncio.sleep(0)
    await throw_garbage_away()
    assert kept_memory()[KEPT] - before < 100_000


if __name__ == "__main__":
    kinds: list[type[Keeping]] = [Keeping, *Keeping.__subclasses__()]
    print(json.dumps({each.__name__: asyncio.run(growth(each)) for each in kinds}))  # noqa: T201 -- what the fixture reads
