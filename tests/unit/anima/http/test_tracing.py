"""Spans: one per request under its caller's, its statements below it, and nothing of their texts."""

import pytest
import requests
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from starlette.types import Message, Receive, Scope, Send

from anima.database import Executed
from anima.http.tracing import StatementSpans, TracingMiddleware, otlp_exporter, tracing

TRACE_ID, PARENT_ID = 0xABC, 0xDEF
TRACEPARENT = f"00-{TRACE_ID:032x}-{PARENT_ID:016x}-01".encode()


async def receive() -> Message:
    return {"type": "http.request"}


async def send(message: Message) -> None:
    del message


async def test_a_request_and_its_statements_are_spans_of_the_callers_trace() -> None:
    exporter = InMemorySpanExporter()
    with tracing(exporter) as tracer:
        observe = StatementSpans(tracer)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            del receive
            scope["endpoint"] = app
            observe(Executed("query.search", 0.25, 20))
            await send({"type": "http.response.start", "status": 503})

        observe(Executed("queue", 0.1, 0))  # In no request.
        scope = {"type": "http", "method": "POST", "path": "/p", "headers": [(b"traceparent", TRACEPARENT)]}
        await TracingMiddleware(app, tracer)(scope, receive, send)
    statement, request = exporter.get_finished_spans()
    assert (request.name, statement.name) == ("POST /p", "query.search")
    assert request.parent is not None
    assert (request.context.trace_id, request.parent.span_id) == (TRACE_ID, PARENT_ID)
    assert statement.parent is not None
    assert statement.parent.span_id == request.context.span_id
    assert request.status.status_code is StatusCode.ERROR
    assert request.attributes is not None
    assert request.attributes["http.response.status_code"] == 503
    assert statement.end_time is not None
    assert statement.start_time is not None
    assert statement.end_time - statement.start_time == 250_000_000


@pytest.mark.parametrize(("host", "is_proxied"), [("127.0.0.1", False), ("[::1]", False), ("collector.test", True)])
def test_a_collector_on_this_machine_is_asked_directly(
    monkeypatch: pytest.MonkeyPatch, host: str, *, is_proxied: bool
) -> None:
    sessions: list[requests.Session] = []
    create = requests.Session

    def noted() -> requests.Session:
        sessions.append(create())
        return sessions[-1]

    monkeypatch.setattr(requests, "Session", noted)
    otlp_exporter(f"http://{host}:4318").shutdown()
    (session,) = sessions
    assert session.trust_env is is_proxied
