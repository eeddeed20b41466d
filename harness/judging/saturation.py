"""Says what was at its end while a rate was too much, by what the run has observed: processors, pool, locks, disk."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final

from harness.quantities import share
from harness.record import PhaseRecord, RunRecord, VariantRecord

BUSY_MIN: Final = 0.85
"""Of a processor, or of all of them: beyond it what comes waits for several times as long as it is served."""

WAITED_MIN: Final = 0.25
"""Of the looks at what something is waited for, or of a request's time."""

WAITS: Final = "waits "
"""What the names of counters begin with that say in how many looks a session waited for what."""

WORDS: Final[Mapping[str, str]] = {
    "Lock": "locks of other sessions",
    "LWLock": "locks within the database server",
    "BufferPin": "pages that others hold",
    "IO": "the database server's disk",
}
"""Kinds of waits as PostgreSQL names them. What waits for its client waits for nobody at the server."""


def saturations(record: RunRecord, part: VariantRecord) -> tuple[str, ...]:
    """Clauses, the likeliest cause first; empty where nothing that is observed was at its end."""
    return tuple(chain(_waits(part), _pool(part), _processors(record, part)))


def _processors(record: RunRecord, part: VariantRecord) -> Iterator[str]:
    cpus = _number(record.environment.host.get("cpus"))
    client, service, server = (
        max((_busy(phase, counter) for phase in part.phases), default=0.0)
        for counter in ("timed_client_cpu_s", "service_cpu_s", "server_cpu_s")
    )
    processes = max((phase.processes for phase in part.phases), default=1)
    if client / processes >= BUSY_MIN:
        whose = (
            "the target's own, which lives in the load generator's process"
            if part.in_process
            else "the load generator's"
        )
        yield f"a processor ({whose}: {client:.2f} busy)"
    if service >= BUSY_MIN:
        yield f"processors of the service ({service:.2f} busy)"
    if cpus and client + service + server >= BUSY_MIN * cpus:
        yield f"the machine's processors ({client + service + server:.2f} of {cpus:.0f} busy)"
    elif server >= BUSY_MIN:
        yield f"processors of the database server ({server:.2f} busy)"


def _busy(phase: PhaseRecord, counter: str) -> float:
    """How many processors were, on average over the time in which it was counted."""
    elapsed_s = phase.ended_s - phase.started_s + (0.0 if counter.startswith("timed") else phase.drain_s or 0.0)
    return phase.counters.get(counter, 0.0) / elapsed_s if elapsed_s > 0 else 0.0


def _pool(part: VariantRecord) -> Iterator[str]:
    latencies_s = sum(each.latency_s for each in part.samples if each.elapsed_s and "pool" in each.elapsed_s)
    waited_s = sum(each.elapsed_s["pool"] for each in part.samples if each.elapsed_s and "pool" in each.elapsed_s)
    waiting = [
        number > 0 for phase in part.phases if phase.levels for number in phase.levels.values.get("pool_waiting", ())
    ]
    if latencies_s and waited_s / latencies_s >= WAITED_MIN:
        yield f"the pool of connections ({share(waited_s / latencies_s)} of the latency waits for one)"
    elif waiting and sum(waiting) / len(waiting) >= WAITED_MIN:
        yield f"the pool of connections (somebody waits for one {share(sum(waiting) / len(waiting))} of the time)"


def _waits(part: VariantRecord) -> Iterator[str]:
    """Of the sessions that were at work when they were looked at."""
    seen: Counter[str] = Counter()
    for phase in part.phases:
        for name, looks in phase.counters.items():
            if name.startswith(WAITS) and not name.startswith(f"{WAITS}Client"):
                seen[name.removeprefix(WAITS)] += int(looks)
    kinds: Counter[str] = Counter()
    for event, looks in seen.items():
        kinds[event.partition(":")[0]] += looks
    for kind, looks in kinds.most_common():
        if kind in WORDS and looks / seen.total() >= WAITED_MIN:
            most = max((event for event in seen if event.startswith(f"{kind}:")), key=lambda event: seen[event])
            waiting = share(looks / seen.total())
            yield f"{WORDS[kind]} ({waiting} of the sessions at work wait for them, most for {most})"


def _number(text: str | None) -> float | None:
    return float(text) if text and text.isdecimal() else None
