"""Whether `harness capacity` finds the capacity of a system where it is known.

    python benchmarks/planted_capacity.py --times 10 --seconds 3

Each time another system is asked: so many slots, each of which a request takes for so long. A slot is free again when
that time is over, however late its request is woken, so the capacity is slots / time on a busy machine too. Exit code 1
where a search came to no result, or to one that is further than a twentieth from it.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Final

PLANTED: Final = (
    (4, 0.040),
    (2, 0.030),
    (3, 0.050),
    (8, 0.080),
    (1, 0.020),
    (6, 0.100),
    (2, 0.050),
    (5, 0.060),
    (3, 0.030),
    (4, 0.050),
)
"""Slots, and seconds for which each is taken."""

WITHIN: Final = 0.05

TARGET: Final = """
import asyncio
import heapq

from harness.testing import operation


class Slots:
    async def open(self) -> None:
        self.free = [0.0] * {slots}

    async def close(self) -> None: ...

    @operation()
    async def ask(self) -> None:
        loop = asyncio.get_running_loop()
        ended = max(loop.time(), heapq.heappop(self.free)) + {taken_s}
        heapq.heappush(self.free, ended)
        await asyncio.sleep(ended - loop.time())
"""

SCENARIO: Final = """
name = "slots"
target = "slots:Slots"
budgets = ["ask.p95 <= {limit_ms}ms"]
phases = [{{ operation = "ask", requests = 200, warm_up = 20, time_s = 10 }}]
"""


def searched(directory: Path, slots: int, taken_s: float, seconds: float) -> tuple[float | None, float | None, str]:
    """The highest rate that held, the lowest that broke, and the verdict."""
    (directory / "slots.py").write_text(TARGET.format(slots=slots, taken_s=taken_s), encoding="utf-8")
    scenario = SCENARIO.format(limit_ms=round(taken_s * 3_000))
    (directory / "slots.toml").write_text(scenario, encoding="utf-8")
    words = ["capacity", "slots.toml", "--seconds", f"{seconds:g}", "--report", "json=capacity.json"]
    command = [sys.executable, "-m", "harness.cli", *words]
    subprocess.run(command, cwd=directory, capture_output=True, check=False)  # noqa: S603 -- our own program
    verdict = json.loads((directory / "capacity.json").read_text(encoding="utf-8"))["capacity"]
    [found] = verdict["capacities"]
    return found["lower_per_s"], found["upper_per_s"], verdict["outcome"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=len(PLANTED))
    parser.add_argument("--seconds", type=float, default=3.0)
    asked = parser.parse_args()
    right = 0
    for number in range(asked.times):
        slots, taken_s = PLANTED[number % len(PLANTED)]
        begun, true_per_s = perf_counter(), slots / taken_s
        with tempfile.TemporaryDirectory() as directory:
            lower, upper, outcome = searched(Path(directory), slots, taken_s, asked.seconds)
        is_right = lower is not None and abs(lower / true_per_s - 1) <= WITHIN
        right += is_right
        print(
            f"{slots} slots of {taken_s * 1000:g} ms, {true_per_s:.1f}/s: {outcome}, holds at {lower}/s, breaks at "
            f"{upper}/s, {'right' if is_right else 'WRONG'} ({perf_counter() - begun:.0f} s)",
            flush=True,
        )
    print(f"{right} of {asked.times} within {WITHIN:.0%}")
    return 0 if right == asked.times else 1


if __name__ == "__main__":
    sys.exit(main())
