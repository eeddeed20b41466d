"""What a verdict over ten million samples takes: seconds and memory to read the journal, and to judge what was read.

The journal is made of numbers, as a run of several workers on the target that does nothing would have written it, with
budgets on a quantile, a mean, windows and errors. Nothing of it is kept.

    python benchmarks/verdict_of_many.py --samples 10000000
"""

import argparse
import json
import os
import resource
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any, TypeVar

import numpy as np

from harness import journal
from harness.judging.analysis import ready
from harness.judging.budgets import parse
from harness.judging.verdict import judge
from harness.measuring.recording import header
from harness.measuring.scenario_files import load_scenario
from harness.record import RunRecord

Worked = TypeVar("Worked")

MIB = 1024
RATE_PER_S = 20_000
WORKERS = 4
FAILED = 1e-4
BLOCK = 100_000
BUDGETS = [
    "query.p95 <= 5ms",
    "query.p99 <= 20ms",
    "query.mean <= 5ms",
    "query.errors <= 1%",
    "query{window=60s}.p95 <= 5ms",
]


def write(path: Path, samples: int, seed: int) -> None:
    """Log-normal latencies of 1 ms, at a constant rate; one in ten thousand fails."""
    draw = np.random.default_rng(seed)
    with journal.open_journal(path) as entries:
        entries.write("run", header(load_scenario("cluster", settings=(f"budgets={json.dumps(BUDGETS)}",)), "run"))
        entries.write("variant", {"name": "null", "description": "", "schema_version": 0})
    with (path / journal.FILE_NAME).open("a", encoding="utf-8") as lines:
        for first in range(0, samples, BLOCK):
            lines.writelines(_block(draw, range(first, min(first + BLOCK, samples))))
        end_s = samples / RATE_PER_S + 1
        phase = {"name": "steady", "workload": "query", "round": 1, "arrival": "constant_rate", "loop": "open"}
        counted = {"planned": samples, "started": samples, "started_s": 0.0, "ended_s": end_s, "processes": WORKERS}
        for kind, entry in (
            ("phase", {"variant": "null", **phase, **counted}),
            ("variant_end", {"name": "null", "complete": True}),
            ("end", {"interruption": None, "aborted_by": None, "elapsed_s": end_s}),
        ):
            lines.write(json.dumps({"kind": kind, **entry}) + "\n")


def _block(draw: np.random.Generator, numbers: range) -> list[str]:
    intended_s = np.arange(numbers.start, numbers.stop) / RATE_PER_S
    started_s = intended_s + draw.exponential(2e-5, len(numbers))
    ended_s = started_s + draw.lognormal(np.log(1e-3), 0.8, len(numbers))
    error = ',"error":"TimeoutError"'
    failed = draw.random(len(numbers)) < FAILED
    return [
        f'{{"kind":"sample","variant":"null","operation":"query","round":1,"phase":"steady",'
        f'"worker":{number % WORKERS},"scheduled":true,"intended_s":{intended!r},"started_s":{started!r},'
        f'"ended_s":{ended!r}'
        f"{error if fails else ''}}}\n"
        for number, intended, started, ended, fails in zip(
            numbers, intended_s.tolist(), started_s.tolist(), ended_s.tolist(), failed.tolist(), strict=True
        )
    ]


def resident_mib() -> int:
    """The most that this process has had."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / MIB)


def figures(path: Path) -> dict[str, Any]:
    before = resident_mib()
    record, reading = _timed(lambda: journal.read(path / journal.FILE_NAME))
    read = resident_mib()
    ready()
    verdict, judging = _timed(lambda: judge(record))
    return {
        "samples": _size(record),
        "load_average": round(os.getloadavg()[0], 1),
        "journal_mib": round((path / journal.FILE_NAME).stat().st_size / MIB**2),
        "mib_before": before,
        "read": reading,
        "read_mib": read,
        "judge": judging,
        "judge_mib": resident_mib(),
        "judge_by_one": {text: _timed(partial(judge, record, [parse(text)]))[1] for text in BUDGETS},
        "outcome": verdict.outcome.name,
        "budgets": {each.budget: each.outcome.name for each in verdict.budgets},
    }


def _size(record: RunRecord) -> int:
    return sum(len(variant.samples) for variant in record.variants)


def _timed(work: Callable[[], Worked]) -> tuple[Worked, dict[str, float]]:
    """What came of it, and how long it took by the clock and by the processor."""
    begun, cpu = perf_counter(), process_time()
    done = work()
    return done, {"elapsed_s": round(perf_counter() - begun, 1), "cpu_s": round(process_time() - cpu, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as room:
        write(Path(room) / "run", asked.samples, asked.seed)
        print(json.dumps(figures(Path(room) / "run"), indent=2))


if __name__ == "__main__":
    main()
