"""What load from several hosts costs: starts a second through 1, 2 and 4 workers, memory, and time for the verdict.

On the target that does nothing, with all hosts on this machine: beyond its cores more workers add nothing.

    python benchmarks/cluster_figures.py --requests 200000 --to cluster.json
"""

import argparse
import asyncio
import json
import resource
import tempfile
from pathlib import Path
from time import process_time
from typing import Any

from harness import journal
from harness.judging.verdict import judge
from harness.measuring.clock import new_event_loop
from harness.measuring.execution import execute
from harness.measuring.progress import Silent
from harness.measuring.recording import header
from harness.measuring.scenario import Scenario
from harness.measuring.scenario_files import load_scenario

KIB = 1024
USERS = 64
REQUESTS_MAX = 1_000_000
"""Of a phase."""


def scenario(workers: str, requests: int) -> Scenario:
    sizes = [min(REQUESTS_MAX, requests - first) for first in range(0, requests, REQUESTS_MAX)]
    closed = f"arrival={{kind='closed_loop',users={USERS}}}"
    phases = ",".join(
        f"{{name='p{n}',workload='query',requests={size},time_s=600,{closed}}}" for n, size in enumerate(sizes)
    )
    settings = (
        f"workers='{workers}'",
        f"phases=[{phases}]",
        "budgets=['query.errors <= 0%']",
        "workload.query.known_text_rate=1",
    )
    return load_scenario("cluster", settings=settings)


def resident_mib() -> float:
    """The most that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB


def measured(workers: str, requests: int) -> dict[str, Any]:
    """One run, and the verdict on it. `coordinator_mib` is before its journal is read again."""
    chosen = scenario(workers, requests)
    before = resident_mib()
    with tempfile.TemporaryDirectory() as room:
        directory = Path(room) / "run"
        with journal.open_journal(directory) as entries, asyncio.Runner(loop_factory=new_event_loop) as runner:
            entries.write("run", header(chosen, "run"))
            runner.run(execute(chosen, entries, Silent()))
            entries.write("end", {"interruption": None, "aborted_by": None, "elapsed_s": 0.0})
        collecting = resident_mib()
        begun = process_time()
        record = journal.read(directory / journal.FILE_NAME)
        read_s = process_time() - begun
        verdict = judge(record)
    phases = record.variants[0].phases
    started = sum(phase.started for phase in phases)
    return {
        "workers": workers,
        "requests": started,
        "starts_per_s": round(started / sum(phase.ended_s - phase.started_s for phase in phases)),
        "generator_cpu_s": round(sum(phase.counters["timed_client_cpu_s"] for phase in phases), 2),
        "coordinator_mib_before": round(before),
        "coordinator_mib": round(collecting),
        "read_cpu_s": round(read_s, 2),
        "verdict_cpu_s": round(process_time() - begun - read_s, 2),
        "outcome": verdict.outcome.name,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000, help="of each run")
    parser.add_argument("--workers", nargs="+", default=["1", "local:1", "local:2", "local:4"])
    parser.add_argument("--to", type=Path, help="write the figures there as JSON")
    asked = parser.parse_args()
    figures = []
    for workers in asked.workers:
        figures.append(measured(workers, asked.requests))
        print(json.dumps(figures[-1]), flush=True)
    if asked.to:
        asked.to.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
