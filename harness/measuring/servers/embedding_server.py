"""An Ollama-compatible embedding server with a latency model and faults, in a process of its own.

A process of its own, so that what it computes is not taken from the measured client's core or event loop.
`embedding_server` starts it; `python -m harness.measuring.servers.embedding_api SETTINGS` is what is started. It
ends when its standard input ends, that is with its parent, however that ends.
"""

import asyncio
import contextlib
import math
import random
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from statistics import NormalDist
from typing import IO, Annotated, Final, Literal, Self, get_args

from pydantic import (
    Field,
    NonNegativeFloat,
    PositiveFloat,
    model_validator,
)

from harness.children import line_beginning, local_environment, modules_of_ours, python
from harness.errors import ProvisioningError
from harness.measuring.section import Section
from harness.measuring.servers.lifeline import start

DIMENSIONS: Final = 768
HOST: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 30.0
PORT: Final = b"port "
"""What begins the line in which the server says that it listens, and where."""

FaultKind = Literal["http_500", "hang", "wrong_dimension", "nan", "html", "connection_closed"]
FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)

FaultShare = Annotated[float, Field(ge=0.0, le=1.0)]


class FixedLatency(Section, frozen=True):
    """Each answer takes equally long."""

    kind: Literal["fixed"] = "fixed"
    """The name of the distribution: always the same."""
    delay_s: NonNegativeFloat = 0.0
    """How many seconds each answer waits before it is computed."""

    def draw_s(self, _generator: random.Random) -> float:
        return self.delay_s


class LogNormalLatency(Section, frozen=True):
    """Delays of the log-normal distribution with these two quantiles."""

    kind: Literal["log_normal"] = "log_normal"
    """The name of the distribution: log-normal."""
    p50_s: PositiveFloat
    """The median delay in seconds."""
    p95_s: PositiveFloat
    """The delay in seconds that 95 of 100 answers stay below."""
    min_s: NonNegativeFloat = 0.0
    """The least delay in seconds; shorter ones are raised to it."""
    max_s: PositiveFloat | None = None
    """The greatest delay in seconds, to which longer ones are cut; none unless stated."""

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


class EmbeddingFaults(Section, frozen=True):
    """For each way to fail, the share of requests that fail in it; 1 is always."""

    http_500: FaultShare = 0.0
    """The share of requests that are answered with status 500."""
    hang: FaultShare = 0.0
    """The share of requests that are never answered."""
    wrong_dimension: FaultShare = 0.0
    """The share of requests that are answered with a vector of another length."""
    nan: FaultShare = 0.0
    """The share of requests that are answered with a vector which holds no numbers."""
    html: FaultShare = 0.0
    """The share of requests that are answered with a page in place of JSON."""
    connection_closed: FaultShare = 0.0
    """The share of requests whose connection is closed without an answer."""

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


NO_FAULTS: Final = EmbeddingFaults()


class ServerSettings(Section, frozen=True):
    """`embedder` is the import path (`module:function`) of what turns a text into 768 numbers."""

    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    latency: LatencyModel = NO_LATENCY
    faults: EmbeddingFaults = NO_FAULTS
    embedder: str | None = None
    seed: int = 0


@asynccontextmanager
async def embedding_server(
    latency: LatencyModel = NO_LATENCY,
    *,
    faults: EmbeddingFaults = NO_FAULTS,
    embedder: str | None = None,
    seed: int = 0,
    port: int = 0,
) -> AsyncGenerator[str]:
    """The address of a server that lives as long as the context; raises `ProvisioningError`.

    Port 0 is any free one. A request's delay and fault depend on the seed, the text and how often the text was
    asked before, not on what else is asked: a server for each variant gives all variants the same delays.
    """
    settings = ServerSettings(port=port, latency=latency, faults=faults, embedder=embedder, seed=seed)
    with tempfile.TemporaryFile() as error_output:
        command = python("-m", "harness.measuring.servers.embedding_api", settings.model_dump_json())
        process = await start(*command, env=local_environment(**modules_of_ours()), stderr=error_output)
        try:
            yield f"http://{HOST}:{await _announced_port(process, error_output)}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _announced_port(process: asyncio.subprocess.Process, error_output: IO[bytes]) -> int:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            line = await line_beginning(process.stdout, PORT)
    except TimeoutError:
        line = b""
    if not line:
        raise ProvisioningError(f"The embedding server did not start. {_last_line(error_output)}")
    return int(line.removeprefix(PORT))


def _last_line(error_output: IO[bytes]) -> str:
    error_output.seek(0)
    lines = error_output.read().decode(errors="replace").splitlines()
    return lines[-1] if lines else f"It said nothing for {START_TIMEOUT_S:g} s; the machine may be overloaded."
