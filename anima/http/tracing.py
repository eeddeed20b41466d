"""Spans for OpenTelemetry: one per request, and below it one per wait for the database server.

Only imported when an endpoint is configured, since the packages are those of the extra `otel`. A span says the name of
a statement and never its text or arguments.
"""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from anima.database import Executed
from anima.http.timing import method_of, route_of
from anima.loopback import is_loopback

SERVER_ERRORS_FROM: Final = 500
NS_PER_S: Final = 1_000_000_000


@contextmanager
def tracing(exporter: SpanExporter) -> Generator[trace.Tracer]:
    """A tracer whose spans are all exported when the block ends."""
    provider = TracerProvider(resource=Resource.create({"service.name": "anima"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider.get_tracer("anima")
    finally:
        provider.shutdown()


def otlp_exporter(endpoint: str) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415 -- slow to load, and tests need none
        OTLPSpanExporter,
    )
    from requests import Session  # noqa: PLC0415 -- as above

    session = Session()
    # A collector on this machine is asked directly, whatever proxies the environment names.
    session.trust_env = not is_loopback(urlsplit(endpoint).hostname or "")
    return OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", session=session)


@dataclass(frozen=True, slots=True)
class TracingMiddleware:
    """A span for each request, below the caller's when its headers name one."""

    app: ASGIApp
    tracer: trace.Tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        with self.tracer.start_as_current_span(method_of(scope), context_of(scope), kind=SpanKind.SERVER) as span:

            async def send_traced(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= SERVER_ERRORS_FROM:
                        span.set_status(Status(StatusCode.ERROR))
                await send(message)

            try:
                await self.app(scope, receive, send_traced)
            finally:
                span.update_name(f"{method_of(scope)} {route_of(scope)}")
                span.set_attributes({"http.request.method": method_of(scope), "http.route": route_of(scope)})


def context_of(scope: Scope) -> Context:
    return extract({name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]})


@dataclass(frozen=True, slots=True)
class StatementSpans:
    """Observes the database; background work has no request, and so no spans."""

    tracer: trace.Tracer

    def __call__(self, executed: Executed) -> None:
        if not trace.get_current_span().is_recording():
            return
        ended_ns = time.time_ns()
        attributes = {"db.system.name": "postgresql", "db.query.summary": executed.name}
        span = self.tracer.start_span(
            executed.name,
            kind=SpanKind.CLIENT,
            attributes=attributes | {"db.response.returned_rows": executed.rows},
            start_time=ended_ns - int(executed.elapsed_s * NS_PER_S),
        )
        span.end(ended_ns)
