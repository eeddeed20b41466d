"""The seam between a text and its vector: what every provider promises, and the values that cross it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, BaseModel, ConfigDict, HttpUrl, PositiveFloat, PositiveInt, RedisDsn, SecretStr

from anima.circuit import CircuitState

DIMENSIONS: Final = 768

Vector = npt.NDArray[np.float32]
"""Shape (768,), finite, with a norm above zero, and read-only: a cached vector has many readers."""


CACHE: Final = "cache"


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text's vector and who answered: a provider's name, or `cache` (`CACHE`) for a cache of any tier."""

    vector: Vector
    provider: str


@dataclass(frozen=True, slots=True)
class ProviderCalls:
    """Says how the calls of one provider's server have ended, each attempt for itself, and how it is asked now.

    An answer can still be unusable: `invalid` are among `answered`. A call is `rejected`, unsent, while the circuit is
    open or when no slot came free in time.
    """

    provider: str
    circuit: CircuitState
    in_flight: int
    answered: int
    failed: int
    invalid: int
    rejected: int


class EmbeddingProvider(Protocol):
    """Turns a text into a vector.

    `embed` raises `EmbeddingUnavailable` when nobody answered in time, `EmbeddingRefused` when this text cannot be
    embedded and others can, and `InvalidEmbedding` when the answer is not a finite, non-zero vector of 768 components.
    It never returns anything else. `embed_many` does the same for several texts at once, in their order, with one call
    where the server can: all of them, or an error. Who is told that a text was refused asks for each of them alone.
    """

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    async def embed(self, text: str) -> Embedded: ...

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]: ...

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        """One entry for each server that may be asked; none when the vectors are made here."""
        ...

    async def aclose(self) -> None: ...


class InFrontOfProvider:
    """Keeps or collects texts before another provider is asked: it is known as that one."""

    def __init__(self, provider: EmbeddingProvider) -> None:
        self._provider = provider

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def model(self) -> str:
        return self._provider.model

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return self._provider.server_calls()


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """Says what a cache counted since its process started."""

    hits: int
    """How many look-ups the cache answered."""
    misses: int
    """How many look-ups called the provider."""
    coalesced: int
    """How many look-ups waited for the call of another one."""
    evictions: int
    """How many vectors were left out because the cache was full."""
    expirations: int
    """How many vectors were left out because they had become too old."""
    size: int
    """How many vectors are held."""
    max_size: int
    """How many vectors are held at most."""
    hit_rate: float
    """The share of hits in all look-ups, 0 to 1."""
    bytes: int
    """How many bytes the vectors that are held take."""


@dataclass(frozen=True, slots=True)
class SharedCacheStatistics:
    """The second tier's look-ups are the first one's misses. Each is a hit, maybe after a wait, or a miss.

    `waits` found another instance asking; `invalid` values were no vectors; `errors` are commands that failed, and
    `skipped` those that were not sent after one had.
    """

    hits: int
    misses: int
    waits: int
    invalid: int
    errors: int
    skipped: int
    hit_rate: float
    circuit: CircuitState


def _http_address(text: str) -> str:
    return str(HttpUrl(text))


def _header_value(key: SecretStr) -> SecretStr:
    stripped = key.get_secret_value().strip()
    if not (stripped and stripped.isascii() and stripped.isprintable()):
        raise ValueError("A key is printable ASCII, and not empty.")
    return SecretStr(stripped)


def _redis_url(url: SecretStr) -> SecretStr:
    RedisDsn(url.get_secret_value())
    return url


HttpAddress = Annotated[str, AfterValidator(_http_address)]
"""An http or https address. It may have a path, a query string, or a user and a password."""


class EmbeddingSettings(BaseModel):
    """Says what providers are made from."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    provider: str = "ollama"
    """A name of the registry."""
    ollama_url: HttpAddress = "http://127.0.0.1:11434"
    """The address of Ollama."""
    openai_url: HttpAddress = "https://api.openai.com/v1"
    """The address of a service that speaks OpenAI's API."""
    openai_key: Annotated[SecretStr, AfterValidator(_header_value)] | None = None
    """The key for that service; None where it asks for none."""
    timeout_s: PositiveFloat = 5.0
    """How long one attempt may take."""
    load_timeout_s: PositiveFloat = 60.0
    """How long the first call may take, and one after a long pause or a timeout, for which a server may have to load
    its model.
    """
    attempts: PositiveInt = 3
    """How often a call is attempted in all."""
    calls_max: PositiveInt = 64
    """By how many calls at once a server is asked."""
    failures_max: PositiveInt = 5
    """After how many failures in a row a server is left alone."""
    open_s: PositiveFloat = 10.0
    """For how many seconds a server is then left alone."""


RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
"""A redis or rediss address. Secret, since it may hold a password."""


class SharedCacheSettings(BaseModel):
    """A Redis that several instances share. A command has `timeout_s`; after one that failed, none for `backoff_s`.

    An instance waits `lock_s` at most for another that asks the provider for the same text.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    url: RedisUrl
    keyspace: str = ""
    """Begins each key: those of another one are never met."""
    timeout_s: PositiveFloat = 0.25
    backoff_s: PositiveFloat = 5.0
    lock_s: PositiveFloat = 6.0
    ttl_s: PositiveFloat = 3600.0
