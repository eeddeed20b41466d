"""Named latency models: how far away the database and the embedding server are. The same for all variants of a run."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import Field

from harness.measuring.section import Section
from harness.measuring.servers.embedding_server import LatencyModel, LogNormalLatency


class LatencyProfile(Section, frozen=True):
    """Says how far away the database and the embedding server are put, for all variants of a run."""

    description: str
    """What distance it stands for, in a report's words."""
    database_rtt_ms: Annotated[float, Field(ge=0, le=10_000)] = 0.0
    """How many milliseconds are added to each round trip to the database."""
    embedding: LatencyModel | None = None
    """How long the embedding server takes; without it, vectors are made in the process."""


LATENCIES: Final[Mapping[str, LatencyProfile]] = {
    "local": LatencyProfile(description="nothing added: what the database and the code cost by themselves"),
    "lan": LatencyProfile(
        description="a database 0.5 ms away, an embedding model on the same network",
        database_rtt_ms=0.5,
        embedding=LogNormalLatency(p50_s=0.015, p95_s=0.040),
    ),
    "dogfood": LatencyProfile(
        description="the guide's: an embedding takes 2-5 s, a round trip to the database some 20 ms",
        database_rtt_ms=20.0,
        # Below the provider's timeout of 5 s, so that no attempt is lost to the model's own tail.
        embedding=LogNormalLatency(p50_s=3.0, p95_s=4.5, min_s=2.0, max_s=4.9),
    ),
}
