"""Runs on the embedded server whose truth is known: a healthy target, and faults planted in it."""

from collections.abc import Mapping, Sequence
from typing import Final

from harness.errors import HarnessError
from harness.measuring.recording import measure_without_trace
from harness.measuring.scenario import Scenario
from harness.measuring.targets.anima.scenario import MemoryScenario
from harness.record import RunRecord

BASELINE: Final = "unchanged"


def scenario(planted: Sequence[str], requests: int, seed: int, settings: Mapping[str, object]) -> Scenario:
    """One user's queries of the healthy target, of those with the faults that are named, and of a control.

    `settings` are further keys of a scenario.
    """
    return MemoryScenario.model_validate(
        {
            "name": "selftest",
            "title": "A system compared with itself, with faults planted in it",
            "target": "planted",
            "strategies": [BASELINE, *planted],
            "baseline": BASELINE,
            "candidate": planted[0],
            "control": True,
            "seed": seed,
            "latency": "local",
            "database": {"provisioner": "embedded"},
            "corpus": {"kind": "generated", "size": 500, "seed": seed},
            "workload": {"query": {"known_text_rate": 1.0, "distinct_texts": 50}},
            "phases": [
                {
                    "workload": "query",
                    "arrival": {"kind": "closed_loop", "users": 1},
                    "requests": requests,
                    "warm_up": max(20, requests // 20),
                    "time_s": 600,
                }
            ],
            **settings,
        }
    )


def measured(scenario: Scenario) -> RunRecord:
    """The record of a run that came to its end, whose files are gone. Raises `HarnessError`."""
    record = measure_without_trace(scenario)
    if record.state == "partial":
        raise HarnessError(f"The self-test's run did not come to its end: {record.interruption}.")
    return record
