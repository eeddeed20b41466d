"""The service's measurements for Prometheus: durations by route and by statement, pool, caches, providers, queue.

Labels are of closed sets, so that no client can add a time series. With several server processes each keeps its
values in a file of a shared directory, and whichever is asked adds all of them up.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

from anima.assembly import Anima
from anima.database import Executed
from anima.errors import DatabaseUnavailable
from anima.http.timing import Timed
from anima.spending import within_request
from anima.work import current_kind

BUCKETS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.25, 0.4, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The guide's limits (0.2, 0.25, 0.4 and 0.5 s) are among them, so that a share of requests within one is exact."""


class DescribedMetric(NamedTuple):
    text: str
    labels: tuple[str, ...] = ()


COUNTERS: Final[Mapping[str, DescribedMetric]] = {
    "anima_pool_acquire_timeouts": DescribedMetric("Requests that waited for a connection and got none."),
    "anima_database_retries": DescribedMetric("Work that was done again after a conflict or a lost connection."),
    "anima_cache_lookups": DescribedMetric("Look-ups of an embedding in this process.", ("outcome",)),
    "anima_cache_removals": DescribedMetric("Embeddings that left the cache.", ("cause",)),
    "anima_shared_cache_lookups": DescribedMetric("Look-ups of an embedding in Redis.", ("outcome",)),
    "anima_embedding_calls": DescribedMetric("Calls of an embedding server, each attempt.", ("provider", "outcome")),
    "anima_background_done": DescribedMetric("Pieces of background work that are done.", ("kind",)),
    "anima_background_failed_attempts": DescribedMetric("Attempts at background work that failed.", ("kind",)),
}
GAUGES: Final[Mapping[str, DescribedMetric]] = {
    "anima_pool_size_max": DescribedMetric("Connections that there may be."),
    "anima_pool_connections": DescribedMetric("Open connections.", ("state",)),
    "anima_pool_waiting": DescribedMetric("Callers that wait for a connection."),
    "anima_cache_entries": DescribedMetric("Embeddings in the cache."),
    "anima_cache_entries_max": DescribedMetric("Embeddings that the cache has room for."),
    "anima_cache_bytes": DescribedMetric("Size of the vectors in the cache."),
    "anima_embedding_calls_in_flight": DescribedMetric(
        "Calls of an embedding server that are not answered.", ("provider",)
    ),
    "anima_embedding_circuit_closed": DescribedMetric("1 while an embedding server is asked as usual.", ("provider",)),
}
SHARED_GAUGES: Final[Mapping[str, DescribedMetric]] = {
    "anima_database_up": DescribedMetric("1 when the database answered the last scrape."),
    "anima_background_queued": DescribedMetric("Pieces of background work that are accepted and not done.", ("kind",)),
    "anima_background_held": DescribedMetric("Pieces that failed too often and are held for a person.", ("kind",)),
    "anima_background_oldest_age_seconds": DescribedMetric("Age of the oldest piece that is not done.", ("kind",)),
}
"""What is the same seen from each process."""

disable_created_metrics()  # type: ignore[no-untyped-call]

MetricReading = tuple[str, tuple[str, ...], float]
"""A metric, the values of its labels, and its value."""


class Metrics:
    """`directory` is that of several processes, named to prometheus_client before it was imported."""

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._registry = registry = CollectorRegistry()
        self._requests = Histogram(
            "anima_http_request_duration_seconds",
            "Time to the end of an answer.",
            ("method", "route", "status"),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._parts = Counter(
            "anima_http_request_part_seconds",
            "Where the time of requests went: embedding, pool (waiting for a connection), database.",
            ("route", "part"),
            registry=registry,
        )
        self._statements = Histogram(
            "anima_statement_duration_seconds",
            "Waits for the database server, by statement; begin, commit and rollback are among them.",
            ("statement", "work"),
            buckets=BUCKETS_S,
            registry=registry,
        )
        self._counters = {
            name: Counter(name, described.text, described.labels, registry=registry)
            for name, described in COUNTERS.items()
        }
        self._gauges = {
            name: Gauge(name, described.text, described.labels, registry=registry, multiprocess_mode="livesum")
            for name, described in GAUGES.items()
        } | {
            name: Gauge(name, described.text, described.labels, registry=registry, multiprocess_mode="livemostrecent")
            for name, described in SHARED_GAUGES.items()
        }
        self._counted: dict[tuple[str, tuple[str, ...]], float] = defaultdict(float)
        if directory is None:
            ProcessCollector(registry=registry)
        else:
            forget_ended_processes(directory)

    def observe_request(self, timed: Timed) -> None:
        self._requests.labels(timed.method, timed.route, str(timed.status)).observe(timed.elapsed_s)
        for part, spent_s in timed.spent.items():
            self._parts.labels(timed.route, part).inc(spent_s)

    def observe_statement(self, executed: Executed) -> None:
        self._statements.labels(executed.name, work_in_hand()).observe(executed.elapsed_s)

    def refresh(self, animas: Sequence[Anima]) -> None:
        """Takes over what the parts of the systems count by themselves. They share a pool and a provider."""
        for name, labels, total in totals(animas):
            key = (name, labels)
            child = self._counters[name].labels(*labels) if labels else self._counters[name]
            child.inc(total - self._counted[key])
            self._counted[key] = total
        self._set(levels(animas))

    async def exposition(self, animas: Sequence[Anima]) -> bytes:
        """Everything as Prometheus reads it. It is answered while the database is away, too."""
        self.refresh(animas)
        try:
            self._set(await queue_levels(animas))
        except DatabaseUnavailable:
            self._set([("anima_database_up", (), 0)])
        return generate_latest(self._registry if self._directory is None else self._joined(self._directory))

    def _set(self, readings: "Iterator[MetricReading] | list[MetricReading]") -> None:
        for name, labels, value in readings:
            gauge = self._gauges[name].labels(*labels) if labels else self._gauges[name]
            gauge.set(value)

    def _joined(self, directory: Path) -> CollectorRegistry:
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call]
        return registry


def work_in_hand() -> str:
    """A request, a kind of background work, or what workers do between two pieces of it."""
    return current_kind.get() or ("request" if within_request() else "queue")


def totals(animas: Sequence[Anima]) -> Iterator[MetricReading]:
    """Says what only grows while the process lives."""
    pool = animas[0].memory.database.pool_statistics()
    yield "anima_pool_acquire_timeouts", (), pool.acquire_timeouts
    yield "anima_database_retries", (), pool.retries
    for calls in animas[0].memory.embeddings.server_calls():
        yield "anima_embedding_calls", (calls.provider, "answered"), calls.answered
        yield "anima_embedding_calls", (calls.provider, "failed"), calls.failed
        yield "anima_embedding_calls", (calls.provider, "invalid"), calls.invalid
        yield "anima_embedding_calls", (calls.provider, "rejected"), calls.rejected
    yield from summed(own_totals, animas)


def own_totals(anima: Anima) -> Iterator[MetricReading]:
    if anima.cache is not None:
        cache = anima.cache.statistics()
        yield "anima_cache_lookups", ("hit",), cache.hits
        yield "anima_cache_lookups", ("miss",), cache.misses
        yield "anima_cache_lookups", ("coalesced",), cache.coalesced
        yield "anima_cache_removals", ("evicted",), cache.evictions
        yield "anima_cache_removals", ("expired",), cache.expirations
    if anima.shared_cache is not None:
        shared = asdict(anima.shared_cache.statistics())
        for outcome in ("hits", "misses", "waits", "invalid", "errors", "skipped"):
            yield "anima_shared_cache_lookups", (outcome,), shared[outcome]
    for kind in anima.background.handlers:
        yield "anima_background_done", (kind,), anima.background.counts[kind].done
        yield "anima_background_failed_attempts", (kind,), anima.background.counts[kind].failed_attempts


def levels(animas: Sequence[Anima]) -> Iterator[MetricReading]:
    """Says what goes up and down, seen from this process."""
    pool = animas[0].memory.database.pool_statistics()
    yield "anima_pool_size_max", (), pool.size_max
    yield "anima_pool_connections", ("idle",), pool.idle
    yield "anima_pool_connections", ("used",), pool.size - pool.idle
    yield "anima_pool_waiting", (), pool.waiting
    for calls in animas[0].memory.embeddings.server_calls():
        yield "anima_embedding_calls_in_flight", (calls.provider,), calls.in_flight
        yield "anima_embedding_circuit_closed", (calls.provider,), calls.circuit == "closed"
    yield from summed(own_levels, animas)


def own_levels(anima: Anima) -> Iterator[MetricReading]:
    if anima.cache is not None:
        cache = anima.cache.statistics()
        yield "anima_cache_entries", (), cache.size
        yield "anima_cache_entries_max", (), cache.max_size
        yield "anima_cache_bytes", (), cache.bytes


def summed(read: Callable[[Anima], Iterable[MetricReading]], animas: Sequence[Anima]) -> Iterator[MetricReading]:
    sums = dict[tuple[str, tuple[str, ...]], float]()
    for anima in animas:
        for name, labels, value in read(anima):
            sums[name, labels] = sums.get((name, labels), 0) + value
    for (name, labels), value in sums.items():
        yield name, labels, value


async def queue_levels(animas: Sequence[Anima]) -> list[MetricReading]:
    """Of all queues together; the oldest work of any."""
    lanes = [lane for anima in animas for lane in await anima.background.lanes()]
    readings: list[MetricReading] = [("anima_database_up", (), 1)]
    for kind in dict.fromkeys(lane.kind for lane in lanes):
        of_kind = [lane for lane in lanes if lane.kind == kind]
        readings += [
            ("anima_background_queued", (kind,), sum(lane.queued for lane in of_kind)),
            ("anima_background_held", (kind,), sum(lane.held for lane in of_kind)),
            ("anima_background_oldest_age_seconds", (kind,), max(lane.oldest_age_s for lane in of_kind)),
        ]
    return readings


def forget_ended_processes(directory: Path) -> None:
    """Takes the levels of processes that are gone out of the sums; what they counted stays."""
    for path in directory.glob("gauge_live*_*.db"):
        if not psutil.pid_exists(int(path.stem.rpartition("_")[2])):
            path.unlink(missing_ok=True)
