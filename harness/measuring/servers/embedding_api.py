"""Says what the embedding server answers, and by what: `python -m harness.measuring.servers.embedding_api SETTINGS`.

Apart from `embedding_server`, which starts it, so that only this process needs a library for HTTP.
"""

import asyncio
import json
import math
import os
import pkgutil
import random
import signal
import socket
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, assert_never

import uvicorn
from pydantic import JsonValue, TypeAdapter, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from harness.measuring.servers.embedding_server import DIMENSIONS, HOST, PORT, FaultKind, ServerSettings

# Ollama never closes an idle connection; a server that did would now and then fail the next request on it.
KEEP_ALIVE_S: Final = 86_400
JSON: Final = TypeAdapter[JsonValue](JsonValue)

Embedder = Callable[[str], Iterable[float]]
Vectors = list[list[float]]
Sleep = Callable[[float], Awaitable[None]]


def application(settings: ServerSettings, embed: Embedder, *, sleep: Sleep = asyncio.sleep) -> Starlette:
    """The part of Ollama's HTTP interface that makes embeddings."""
    api = _Api(settings, embed, sleep)
    return Starlette(
        routes=[
            Route("/api/embeddings", api.embeddings, methods=["POST"]),
            Route("/api/embed", api.embed, methods=["POST"]),
            Route("/api/tags", api.tags, methods=["GET"]),
        ]
    )


class _Api:
    def __init__(self, settings: ServerSettings, embed: Embedder, sleep: Sleep) -> None:
        self._settings = settings
        self._embed = embed
        self._sleep = sleep
        self._times_asked = Counter[str]()

    async def embeddings(self, request: Request) -> Response:
        match await _body(request):
            case {"prompt": str(text)}:
                return await self._answer(request, [text], lambda vectors: {"embedding": vectors[0]})
            case _:
                return _json({"error": "the body is not a JSON object with a string `prompt`"}, 400)

    async def embed(self, request: Request) -> Response:
        match await _body(request):
            case {"input": str(text)}:
                texts = [text]
            case {"input": [*items]} if items and all(isinstance(item, str) for item in items):
                texts = [str(item) for item in items]
            case _:
                return _json({"error": "the body is not a JSON object with `input`, a string or strings"}, 400)
        return await self._answer(request, texts, lambda vectors: {"embeddings": vectors})

    async def tags(self, _request: Request) -> Response:
        return _json({"models": [{"name": "nomic-embed-text:latest", "model": "nomic-embed-text:latest"}]})

    async def _answer(self, request: Request, texts: Sequence[str], body: Callable[[Vectors], object]) -> Response:
        generator = self._generator("\n".join(texts))
        fault = self._settings.faults.draw(generator)
        await self._sleep(self._settings.latency.draw_s(generator))
        vectors = [[float(component) for component in self._embed(text)] for text in texts]
        if fault is None:
            return _json(body(vectors))
        return await self._failed_answer(fault, request, vectors, body)

    async def _failed_answer(
        self, fault: FaultKind, request: Request, vectors: Vectors, body: Callable[[Vectors], object]
    ) -> Response:
        match fault:
            case "http_500":
                return _json({"error": "injected fault"}, 500)
            case "hang":
                # The request has been read, so the next message is that the client went away.
                await request.receive()
                return Response()
            case "wrong_dimension":
                return _json(body([vector[:-1] for vector in vectors]))
            case "nan":
                return _json(body([[math.nan, *vector[1:]] for vector in vectors]))
            case "html":
                return HTMLResponse("<!DOCTYPE html><title>Sign in</title>")
            case "connection_closed":
                return _ClosedConnection()
            case _:
                assert_never(fault)

    def _generator(self, text: str) -> random.Random:
        sequence = self._times_asked[text]
        self._times_asked[text] += 1
        return random.Random(f"{self._settings.seed}/{sequence}/{text}")  # noqa: S311 -- drawn to be repeatable


class _ClosedConnection(Response):
    """Ends an answer after its first line, on which the HTTP server closes the connection."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI's signature
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})


async def _body(request: Request) -> JsonValue:
    try:
        return JSON.validate_json(await request.body())
    except ValidationError:
        return None


def _json(body: object, status: int = 200) -> Response:
    """Unlike Starlette's own, lets NaN through: one of the faults is made of it."""
    return Response(json.dumps(body), status, media_type="application/json")


def random_vector(text: str) -> list[float]:
    """A direction drawn from the text: the same for the same text, unrelated to any other's."""
    generator = random.Random(text)  # noqa: S311 -- drawn to be repeatable
    return [generator.gauss() for _ in range(DIMENSIONS)]


def _loaded(embedder: str | None) -> Embedder:
    if embedder is None:
        return random_vector
    try:
        loaded: Embedder = pkgutil.resolve_name(embedder)
    except (ImportError, AttributeError, ValueError) as error:
        sys.exit(f"Its embedder {embedder} cannot be imported ({error}). Name one as `module:function`.")
    return loaded


def _listening(port: int) -> socket.socket:
    try:
        listener = socket.create_server((HOST, port))
    except OSError as error:
        sys.exit(f"It cannot listen on {HOST}:{port} ({error.strerror}). Choose another port, or 0 for a free one.")
    # Accepted connections inherit this. Without it, an answer's body waits 40 ms for the client to acknowledge its
    # head, and asyncio sets it only on sockets that it made itself.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    signal.raise_signal(signal.SIGKILL)


def main() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    settings = ServerSettings.model_validate_json(sys.argv[1])
    app = application(settings, _loaded(settings.embedder))
    listener = _listening(settings.port)
    sys.stdout.write(f"{PORT.decode()}{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(_http_configuration(app)).run(sockets=[listener])


def _http_configuration(app: Starlette) -> uvicorn.Config:
    """Loop and parser are named, so that what else is installed does not change what is measured."""
    return uvicorn.Config(
        app, loop="asyncio", http="h11", lifespan="off", log_level="critical", timeout_keep_alive=KEEP_ALIVE_S
    )


if __name__ == "__main__":
    main()
