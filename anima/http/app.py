"""The service as an ASGI application around an open memory system: routes, failures, and what wraps them."""

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Route
from starlette.types import ASGIApp

from anima.assembly import Anima
from anima.http.failures import HANDLERS
from anima.http.meta import MetaRoutes
from anima.http.operations import Operations
from anima.http.timing import RequestObserver, SlowRequestLog, TimingMiddleware


def application(
    anima: Anima,
    *,
    middleware: Sequence[Middleware] = (),
    observers: Sequence[RequestObserver] = (SlowRequestLog(),),
) -> ASGIApp:
    """`middleware` stands inside the timing and outside the routes, the first one outermost."""
    operations = Operations(anima.memory)
    meta = MetaRoutes(anima)
    routes = [
        Route("/health", meta.health),
        Route("/ready", meta.ready),
        Route("/api/v1/memories/add", operations.add, methods=["POST"]),
        Route("/api/v1/memories/query", operations.query, methods=["POST"]),
        Route("/api/v1/memories/bootstrap", operations.bootstrap),
        Route("/api/v1/meta/cache-stats", meta.cache_stats),
        Route("/api/v1/meta/metrics", meta.metrics),
    ]
    starlette = Starlette(routes=routes, middleware=middleware, exception_handlers=HANDLERS)
    return TimingMiddleware(starlette, tuple(observers))
