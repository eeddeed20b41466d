"""Tells what the service says about itself: liveness, readiness, and the guide's statistics."""

from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import Response

from anima.assembly import Anima
from anima.embeddings.protocol import CacheStatistics
from anima.errors import DatabaseUnavailable
from anima.http.answers import document
from anima.http.callers import Callers
from anima.http.metrics import Metrics
from anima.http.openapi import openapi_document
from anima.http.schemas import CacheMetrics, CacheReport, CacheState, DatabaseMetrics, Health, MetricsReport

HIT_RATE_HEALTHY = 0.8
HIT_RATE_POOR = 0.5
WAITING_HEALTHY_MAX = 5


@dataclass(frozen=True, slots=True)
class MetaRoutes:
    callers: Callers
    measured: Metrics

    @property
    def process(self) -> Anima:
        """Any of the memory systems, for what they share."""
        return next(iter(self.callers.animas.values()))

    async def health(self, request: Request) -> Response:
        """Liveness: this process answers. It asks nothing of the database, which a restart would not mend."""
        del request
        return document(Health("ok"))

    async def ready(self, request: Request) -> Response:
        """Readiness: requests can be served now, those that write as well."""
        del request
        try:
            takes_writes = await self.process.memory.database.takes_writes()
        except DatabaseUnavailable:
            return document(Health("unavailable", "The database cannot be used."), 503)
        if not takes_writes:
            return document(Health("unavailable", "The database takes no writes now."), 503)
        return document(Health("ready"))

    async def cache_stats(self, request: Request) -> Response:
        statistics = self._cache_statistics(request)
        if statistics is None:
            return document(CacheReport(None, "The strategy has no cache."))
        poor = statistics.hit_rate < HIT_RATE_POOR
        advice = "Consider increasing cache size or TTL" if poor else "Cache performing well"
        return document(CacheReport(cache_state(statistics), advice))

    async def metrics(self, request: Request) -> Response:
        statistics = self._cache_statistics(request)
        cache = None if statistics is None else cache_metrics(statistics)
        return document(MetricsReport(cache, self._database_metrics(), datetime.now(UTC)))

    async def openapi(self, request: Request) -> Response:
        del request
        return document(openapi_document())

    async def prometheus(self, request: Request) -> Response:
        del request
        return Response(await self.measured.exposition([*self.callers.animas.values()]), media_type=CONTENT_TYPE_LATEST)

    def _cache_statistics(self, request: Request) -> CacheStatistics | None:
        """Of the tenant who asks, since each has a cache of its own."""
        cache = self.callers.anima_of(request).cache
        return None if cache is None else cache.statistics()

    def _database_metrics(self) -> DatabaseMetrics:
        pool = self.process.memory.database.pool_statistics()
        return DatabaseMetrics(
            pool.size, pool.idle, pool.waiting, "under pressure" if pool.waiting > WAITING_HEALTHY_MAX else "healthy"
        )


def cache_state(statistics: CacheStatistics) -> CacheState:
    return CacheState(**{name: getattr(statistics, name) for name in CacheState.__struct_fields__})


def cache_metrics(statistics: CacheStatistics) -> CacheMetrics:
    return CacheMetrics(
        statistics.hits,
        statistics.misses,
        f"{statistics.hit_rate:.3f}",
        statistics.size,
        statistics.max_size,
        "healthy" if statistics.hit_rate > HIT_RATE_HEALTHY else "warming up",
    )
