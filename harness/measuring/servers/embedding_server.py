"""An Ollama-compatible embedding server with a latency model and faults, in a process of its own.

A process of its own, so that what it computes is not taken from the measured client's core or event loop.
`embedding_server` starts it; `python -m harness.measuring.servers.embedding_server SETTINGS` is what is started. It
ends when its standard input ends, that is with its parent, however that ends.
"""

import asyncio
import contextlib
import json
import math
import os
import pkgutil
import random
import signal
import socket
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable, Sequence
from contextlib import asynccontextmanager, contextmanager
from statistics import NormalDist
from typing import IO, Annotated, Final, Literal, Self, assert_never, get_args

import uvicorn
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeFloat,
    PositiveFloat,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from harness.children import local_environment, modules_of_ours, python
from harness.errors import ProvisioningError
from harness.measuring.servers.lifeline import hold

DIMENSIONS: Final = 768
HOST: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 30.0
# Ollama never closes an idle connection; a server that did would now and then fail the next request on it.
KEEP_ALIVE_S: Final = 86_400
JSON: Final = TypeAdapter[JsonValue](JsonValue)

Embedder = Callable[[str], Iterable[float]]
Vectors = list[list[float]]
Sleep = Callable[[float], Awaitable[None]]
FaultKind = Literal["http_500", "hang", "wrong_dimension", "nan", "html", "connection_closed"]
FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class FixedLatency(Frozen):
    """Each answer waits for `delay_s` before it is computed."""

    kind: Literal["fixed"] = "fixed"
    delay_s: NonNegativeFloat = 0.0

    def draw_s(self, _generator: random.Random) -> float:
        return self.delay_s


class LogNormalLatency(Frozen):
    """Delays of the log-normal distribution with these two quantiles, clamped to `min_s` and `max_s`."""

    kind: Literal["log_normal"] = "log_normal"
    p50_s: PositiveFloat
    p95_s: PositiveFloat
    min_s: NonNegativeFloat = 0.0
    max_s: PositiveFloat | None = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.p95_s < self.p50_s:
            raise ValueError(f"p95_s ({self.p95_s:g}) is below p50_s ({self.p50_s:g})")
        if self.max_s is not None and self.max_s < self.min_s:
            raise ValueError(f"max_s ({self.max_s:g}) is below min_s ({self.min_s:g})")
        return self

    def draw_s(self, generator: random.Random) -> float:
        sigma = math.log(self.p95_s / self.p50_s) / NormalDist().inv_cdf(0.95)
        delay_s = max(self.min_s, generator.lognormvariate(math.log(self.p50_s), sigma))
        return delay_s if self.max_s is None else min(self.max_s, delay_s)


LatencyModel = Annotated[FixedLatency | LogNormalLatency, Field(discriminator="kind")]
NO_LATENCY: Final = FixedLatency()


class Faults(Frozen):
    """For each way to fail, the share of requests that fail in it; 1 is always."""

    http_500: Share = 0.0
    hang: Share = 0.0
    wrong_dimension: Share = 0.0
    nan: Share = 0.0
    html: Share = 0.0
    connection_closed: Share = 0.0

    @model_validator(mode="after")
    def _at_most_all(self) -> Self:
        if (total := math.fsum(self._shares())) > 1.0:
            raise ValueError(f"the shares of the faults add up to {total:g}, which is more than 1")
        return self

    def draw(self, generator: random.Random) -> FaultKind | None:
        shares = self._shares()
        outcomes: list[FaultKind | None] = [*FAULT_KINDS, None]
        return generator.choices(outcomes, [*shares, 1.0 - math.fsum(shares)])[0]

    def _shares(self) -> list[float]:
        return [getattr(self, kind) for kind in FAULT_KINDS]


NO_FAULTS: Final = Faults()


class ServerSettings(Frozen):
    """`embedder` is the import path (`module:function`) of what turns a text into 768 numbers."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    latency: LatencyModel = NO_LATENCY
    faults: Faults = NO_FAULTS
    embedder: str | None = None
    seed: int = 0


@asynccontextmanager
async def embedding_server(
    latency: LatencyModel = NO_LATENCY,
    *,
    faults: Faults = NO_FAULTS,
    embedder: str | None = None,
    seed: int = 0,
    port: int = 0,
) -> AsyncGenerator[str]:
    """The address of a server that lives as long as the context; raises `ProvisioningError`.

    Port 0 is any free one. A request's delay and fault depend on the seed, the text and how often the text was
    asked before, not on what else is asked: a server for each variant gives all variants the same delays.
    """
    settings = ServerSettings(port=port, latency=latency, faults=faults, embedder=embedder, seed=seed)
    with _pipe_until_our_end() as standard_input, tempfile.TemporaryFile() as error_output:
        process = await asyncio.create_subprocess_exec(
            *python("-m", "harness.measuring.servers.embedding_server", settings.model_dump_json()),
            env=local_environment(**modules_of_ours()),
            stdin=standard_input,
            stdout=asyncio.subprocess.PIPE,
            stderr=error_output,
            # Ctrl-C in a terminal goes to the whole session, and the server has to outlive its users.
            start_new_session=True,
        )
        try:
            yield f"http://{HOST}:{await _announced_port(process, error_output)}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


@contextmanager
def _pipe_until_our_end() -> Generator[IO[bytes]]:
    """The reading end of a pipe that ends with the context or with this process, whichever is first."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as reading_end, os.fdopen(writing, "wb") as writing_end:
        hold(writing_end)
        yield reading_end


async def _announced_port(process: asyncio.subprocess.Process, error_output: IO[bytes]) -> int:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await process.stdout.readline()
    except TimeoutError:
        line = b""
    if not line:
        raise ProvisioningError(f"The embedding server did not start. {_last_line(error_output)}")
    return int(line)


def _last_line(error_output: IO[bytes]) -> str:
    error_output.seek(0)
    lines = error_output.read().decode(errors="replace").splitlines()
    return lines[-1] if lines else f"It said nothing for {START_TIMEOUT_S:g} s; the machine may be overloaded."


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
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    uvicorn.Server(_http_configuration(app)).run(sockets=[listener])


def _http_configuration(app: Starlette) -> uvicorn.Config:
    """Loop and parser are named, so that what else is installed does not change what is measured."""
    return uvicorn.Config(
        app, loop="asyncio", http="h11", lifespan="off", log_level="critical", timeout_keep_alive=KEEP_ALIVE_S
    )


if __name__ == "__main__":
    main()
