"""The service as an ASGI application around an open memory system: routes, failures, and what wraps them."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp

from anima.http.callers import Callers
from anima.http.failures import HANDLERS
from anima.http.meta import MetaRoutes
from anima.http.metrics import Metrics
from anima.http.operations import Operations
from anima.http.timing import RequestObserver, SlowRequestLog, TimingMiddleware
from anima.http.trace_log import OperationObserver, unobserved


@dataclass(frozen=True, slots=True)
class Watchers:
    """Says who is told of requests and operations, and who measures."""

    metrics: Metrics = field(default_factory=Metrics)
    requests: Sequence[RequestObserver] = (SlowRequestLog(),)
    operations: OperationObserver = unobserved


def application(
    callers: Callers, *, middleware: Sequence[Middleware] = (), watchers: Watchers | None = None
) -> ASGIApp:
    """`middleware` stands inside the timing and outside the routes, the first one outermost."""
    watchers = watchers or Watchers()
    operations = Operations(callers, watchers.operations)
    meta = MetaRoutes(callers, watchers.metrics)
    routes = [
        Route("/health", meta.health),
        Route("/ready", meta.ready),
        Route("/metrics", meta.prometheus),
        Route("/openapi.json", meta.openapi),
        Route("/api/v1/memories/add", operations.add, methods=["POST"]),
        Route("/api/v1/memories/query", operations.query, methods=["POST"]),
        Route("/api/v1/memories/bootstrap", operations.bootstrap),
        Route("/api/v1/meta/cache-stats", meta.cache_stats),
        Route("/api/v1/meta/metrics", meta.metrics),
    ]
    starlette = Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS)
    return TimingMiddleware(starlette, (watchers.metrics.observe_request, *watchers.requests))
