"""Records of runs that never happened, for tests of what reads a record.

`sample`, `variant` and `record` build the smallest valid value and take any field by name. `guide_record` is a whole
run of the scenario `guide`: every rung of the ladder, latencies with a tail, statements by the contract's law.
"""

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from harness.measuring.scenario_files import load_scenario
from harness.record import BackgroundRecord, EnvironmentRecord, LevelsRecord, PhaseRecord, RunRecord, VariantRecord
from harness.samples import Sample

HOSTILE = "</script><img src=x onerror=alert(1)>&\"'$\\x$ [bold]|`*_"
"""Breaks out of whatever is not escaped: HTML, attributes, JSON in a page, rich markup, Markdown tables, math text."""

LADDER = ("naive", "fix1", "fix2", "fix3", "fix4", "fix5", "fix6", "fix7", "batched")

BUDGETS = (
    "add{text=known}.p95 <= 150ms",
    "query{text=known}.p95 <= 300ms",
    "bootstrap.p95 <= 200ms",
    "query.errors <= 1%",
    "query.statements <= 4 + ceil(n / 500)",
    "naive: query.statements <= 2 + 2 * n + n * (n - 1) / 2 + 3 * promotions",
    "cache.hit_rate >= 80%",
)

SCENARIO: dict[str, Any] = load_scenario("guide", strategies=",".join(LADDER)).model_dump(mode="json") | {
    "budgets": list(BUDGETS)
}
"""The scenario `guide` as the record of a run keeps it, with every rung and a budget of each kind."""


def sample(operation: str = "query", service_time_s: float = 0.1, **fields: Any) -> Sample:
    started_s = fields.pop("started_s", 0.0)
    values: dict[str, Any] = {"round": 1, "intended_s": started_s} | fields
    return Sample(operation=operation, started_s=started_s, ended_s=started_s + service_time_s, **values)


def samples(service_times_s: Iterable[float], operation: str = "query", **fields: Any) -> tuple[Sample, ...]:
    return tuple(sample(operation, service_time_s, **fields) for service_time_s in service_times_s)


def phase(name: str = "mix", **fields: Any) -> PhaseRecord:
    """A closed loop of one user, over in a second, unless it is said otherwise."""
    values: dict[str, Any] = {"workload": "mix", "round": 1, "arrival": "closed_loop", "loop": "closed"} | fields
    return PhaseRecord(name=name, **({"started": 1, "started_s": 0.0, "ended_s": 1.0} | values))


def variant(name: str = "batched", samples: Sequence[Sample] = (), **fields: Any) -> VariantRecord:
    values: dict[str, Any] = {"description": f"{name} strategy", "schema_version": 7, "complete": True} | fields
    return VariantRecord(name=name, samples=tuple(samples), **values)


def record(*variants: VariantRecord, **fields: Any) -> RunRecord:
    """A complete run of these variants; `scenario` names the last of them as its candidate unless it is given."""
    values: dict[str, Any] = {
        "run_id": "20260101-120000-guide",
        "started_at": datetime(2026, 1, 1, 12, tzinfo=UTC),
        "elapsed_s": 151.2,
        "state": "complete",
        "command": ("harness", "run", "guide"),
        "scenario": {"name": "test", "strategies": [each.name for each in variants]},
        "corpus": {"name": "generated, seed 1", "fingerprint": "9f2c" * 16, "size": 2300},
        "environment": EnvironmentRecord(
            host={
                "system": "Linux 6.1",
                "machine": "x86_64",
                "cpu": "Example CPU 3.0 GHz",
                "cpus": "4",
                "memory_gib": "16",
            },
            software={"python": "3.11.9", "asyncpg": "0.31.0"},
            server={
                "provisioner": "embedded",
                "postgres_version": "18.0",
                "pgvector_version": "0.8.1",
                "cloning": "template",
                "settings": {"random_page_cost": "1.1"},
            },
        ),
    }
    return RunRecord(variants=variants, **(values | fields))


def guide_record(seed: int = 1, requests: int = 80, **fields: Any) -> RunRecord:
    """A run of the whole ladder; the slow rungs have fewer requests, as in a real run."""
    draw = random.Random(seed)
    variants = tuple(_rung(draw, LADDER.index(name), name, requests) for name in LADDER)
    return record(*variants, **({"scenario": SCENARIO} | fields))


def _rung(draw: random.Random, fixes: int, name: str, requests: int) -> VariantRecord:
    adds = [_add(draw, fixes, index) for index in range(requests if fixes >= 4 else requests // 3)]
    queries = [_query(draw, fixes, index) for index in range(requests if fixes >= 3 else requests // 4)]
    bootstraps = _in_turn([_bootstrap(draw, fixes) for _ in range(requests if fixes >= 5 else requests // 3)])
    mix_s = bootstraps[-1].ended_s
    mixed = [*_in_turn(adds, mix_s), *_in_turn(queries, mix_s)]
    ended_s = max(each.ended_s for each in mixed)
    background = (
        BackgroundRecord(kind="co_occurrence", count=90, failures=0, statements=90, round_trips=270),
        BackgroundRecord(kind="consolidation", count=40, failures=0, statements=80, round_trips=160),
    )
    return variant(
        name,
        [*bootstraps, *mixed],
        schema_version=8 if fixes >= 6 else 6,
        phases=(
            phase("bootstrap", workload="bootstrap", users=1, started=len(bootstraps), ended_s=mix_s),
            phase(users=2, started=len(mixed), started_s=mix_s, ended_s=ended_s, levels=_levels(fixes)),
        ),
        cache={"hits": 0.9 * requests, "misses": 0.1 * requests, "hit_rate": 0.9} if fixes else {},
        background=background if fixes >= 4 else (),
        drain_s=0.8 if fixes >= 4 else None,
        description="The system before the fixes" if not fixes else f"Fixes 1 to {min(fixes, 7)} of the guide",
    )


def _in_turn(samples: Sequence[Sample], start_s: float = 0.0) -> list[Sample]:
    """As one user sends them: each when the one before has its answer."""
    placed: list[Sample] = []
    for each in samples:
        ended_s = start_s + each.service_time_s
        placed.append(replace(each, intended_s=start_s, started_s=start_s, ended_s=ended_s))
        start_s = ended_s
    return placed


def _levels(fixes: int) -> LevelsRecord:
    """A queue that grows and is emptied again, where work is done in the background."""
    at_s = tuple(number / 10 for number in range(11))
    queued = tuple(float(min(number, 10 - number)) if fixes >= 4 else 0.0 for number in range(11))
    in_use = tuple(float(number % 4) for number in range(11))
    return LevelsRecord(at_s=at_s, values={"background_queued": queued, "pool_in_use": in_use})


def _noisy(draw: random.Random, seconds: float, spread: float = 0.08) -> float:
    return seconds * math.exp(abs(draw.gauss(0, spread)))


def _embedding_s(draw: random.Random, fixes: int, index: int) -> tuple[float, bool, str]:
    first_time = index % 12 == 0
    cached = fixes >= 1 and not first_time
    return (
        (0.0 if cached else min(max(draw.lognormvariate(0.95, 0.3), 2.0), 5.0)),
        first_time,
        "cache" if cached else "ollama",
    )


def _add(draw: random.Random, fixes: int, index: int) -> Sample:
    embedding_s, first_time, source = _embedding_s(draw, fixes, index)
    statements = 6 if fixes < 4 else 4
    work_s = _noisy(draw, 0.02 * statements) + (0 if fixes >= 4 else draw.uniform(0.3, 0.9))
    return sample("add", embedding_s + work_s, first_time_text=first_time, embedding=source, statements=statements,
                  round_trips=statements + 2, rows=2, promotions=0, phase="mix")  # fmt: skip


def _query(draw: random.Random, fixes: int, index: int) -> Sample:
    embedding_s, first_time, source = _embedding_s(draw, fixes, index)
    n, promotions = draw.choice((18, 20, 20, 20, 20)), draw.choice((0, 0, 0, 1, 2))
    pairs = n * (n - 1) // 2 if fixes < 2 else 1
    access = 1 + 2 * n + 3 * promotions if fixes < 3 else 2
    statements = 1 + access + (pairs if fixes < 4 else 0)
    search_s = 0.045 if fixes >= 6 else 0.09
    return sample("query", embedding_s + search_s + _noisy(draw, 0.0215 * statements), first_time_text=first_time,
                  embedding=source, statements=statements, round_trips=statements + 2, rows=n, results=n,
                  promotions=promotions, phase="mix")  # fmt: skip


def _bootstrap(draw: random.Random, fixes: int) -> Sample:
    statements = 4 if fixes < 5 else 1
    work_s = _noisy(draw, 1.1 if fixes < 5 else 0.11, 0.12)
    return sample("bootstrap", work_s, statements=statements, round_trips=statements, rows=50, results=50,
                  phase="bootstrap")  # fmt: skip
