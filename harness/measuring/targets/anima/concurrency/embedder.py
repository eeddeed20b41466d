"""A provider whose models, outages and times a script decides, and a witness of what its users were given."""

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.protocol import CACHE, Embedded, EmbeddingProvider, ProviderCalls, Vector
from anima.errors import EmbeddingUnavailable
from harness.measuring.targets.anima.concurrency.steering import current_client
from harness.measuring.targets.anima.equivalence.spelling import SpelledEmbeddings, vector_of

FIRST_MODEL: Final = SpelledEmbeddings.model
CACHE_TTL_S: Final = 3600.0


def vector_by(model: str, text: str) -> Vector:
    """Another model's vectors are the same, turned: as near to each other, and far from the first one's."""
    vector = vector_of(text)
    return vector if model == FIRST_MODEL else np.roll(vector, 300)


@dataclass(slots=True)
class EmbeddingCall:
    """One call of the provider, or one answer to its user."""

    text: str
    """What was to be embedded."""
    model: str
    """The provider's model when it began."""
    at_s: float
    """When it began, by the clock of the cache."""
    began: int
    """The same in the order of events."""
    ended: int | None = None
    """When it ended, in the order of events; None while it goes on."""
    ended_s: float = 0.0
    """The same by the clock of the cache."""
    failed: bool = False
    """Whether an error was the answer."""
    from_cache: bool = False
    """Whether a cache says that it had the answer."""
    vector: Vector | None = None
    """What its user was given."""


@dataclass(slots=True)
class ScriptedProvider:
    """Is one that a script changes under way; each of its calls is a wait at which its client can be held."""

    model: str = FIRST_MODEL
    name: str = SpelledEmbeddings.name
    failing: int = 0
    now_s: float = 0.0
    """The time that a cache before it goes by, in seconds."""
    order: Iterator[int] = field(default_factory=itertools.count)
    calls: list[EmbeddingCall] = field(default_factory=list[EmbeddingCall])

    def clock(self) -> float:
        return self.now_s

    def restart(self) -> None:
        self.model, self.failing, self.now_s = FIRST_MODEL, 0, 0.0
        self.calls.clear()

    async def embed(self, text: str) -> Embedded:
        call = EmbeddingCall(text, self.model, self.now_s, next(self.order))
        self.calls.append(call)
        fails, self.failing = self.failing > 0, max(self.failing - 1, 0)
        if client := current_client.get():
            await client.pass_("embed")
        await asyncio.sleep(0)
        call.ended, call.failed, call.ended_s = next(self.order), fails, self.now_s
        if fails:
            raise EmbeddingUnavailable("The provider is away.")
        return Embedded(vector_by(call.model, text), self.name)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        """Holds nothing that has to be closed."""


class WitnessedEmbeddings:
    """Stands before the cache, and notes what its user was given."""

    def __init__(self, provider: ScriptedProvider, *, cached: bool) -> None:
        self.provider = provider
        self.cached = cached
        self.answers: list[EmbeddingCall] = []
        self.first = self._first()

    def _first(self) -> EmbeddingProvider:
        if not self.cached:
            return self.provider
        return CachedEmbeddings(self.provider, ttl_s=CACHE_TTL_S, clock=self.provider.clock)

    @property
    def name(self) -> str:
        return self.provider.name

    @property
    def model(self) -> str:
        return self.provider.model

    async def embed(self, text: str) -> Embedded:
        provider = self.provider
        answer = EmbeddingCall(text, provider.model, provider.now_s, next(provider.order))
        self.answers.append(answer)
        try:
            embedded = await self.first.embed(text)
        except EmbeddingUnavailable:
            answer.failed = True
            raise
        finally:
            answer.ended, answer.ended_s = next(provider.order), provider.now_s
        answer.from_cache, answer.vector = embedded.provider == CACHE, embedded.vector
        return embedded

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    def restart(self) -> None:
        """With an empty cache."""
        self.provider.restart()
        self.answers.clear()
        self.first = self._first()

    async def aclose(self) -> None:
        await self.first.aclose()


def vector_complaints(witness: WitnessedEmbeddings) -> Iterator[str]:
    """Says what a user was given that no provider's answer accounts for, and calls that one would have spared."""
    calls = witness.provider.calls
    for answer in witness.answers:
        yield from _complaints_of(answer, calls, witness.answers)
    if not witness.cached:
        return
    for one, other in itertools.combinations(calls, 2):
        if (one.text, one.model) == (other.text, other.model) and _overlap(one, other):
            yield f"{one.text!r} was asked for again while it was being asked for"


def _complaints_of(
    answer: EmbeddingCall, calls: Sequence[EmbeddingCall], answers: Sequence[EmbeddingCall]
) -> Iterator[str]:
    of_text = [call for call in calls if call.text == answer.text]
    if answer.failed:
        failures = [call for call in of_text if call.failed]
        if not any(_overlap(each, answer) for each in (*failures, *_refused(answers, failures))):
            yield f"{answer.text!r} failed to be embedded by an outage that was over"
        return
    if answer.vector is None:
        return
    able = [call for call in of_text if not call.failed and call.ended is not None and call.began <= _end(answer)]
    if not any(np.array_equal(answer.vector, vector_by(call.model, call.text)) for call in able):
        yield f"{answer.text!r} was given a vector that no call had as its answer"
    elif not np.array_equal(answer.vector, vector_by(answer.model, answer.text)):
        yield f"{answer.text!r} was given the vector of another model than {answer.model!r}"
    elif not any(
        _was_fresh(each, answer) for each in (*able, *_given(answers, answer.text)) if each.model == answer.model
    ):
        yield f"{answer.text!r} was given a vector that had outstayed its hour in the cache"


def _given(answers: Sequence[EmbeddingCall], text: str) -> list[EmbeddingCall]:
    """Those that had to wait for a call: what that gave is kept some time between its end and theirs."""
    return [each for each in answers if each.text == text and each.vector is not None and not each.from_cache]


def _refused(answers: Sequence[EmbeddingCall], failures: Sequence[EmbeddingCall]) -> list[EmbeddingCall]:
    """Those who waited for a call that failed: who asks before they have heard of it hears the same."""
    waited = (each for each in answers if each.failed and each.text in {call.text for call in failures})
    return [each for each in waited if any(_overlap(call, each) for call in failures)]


def _was_fresh(call: EmbeddingCall, answer: EmbeddingCall) -> bool:
    return answer.at_s - call.ended_s < CACHE_TTL_S


def _end(call: EmbeddingCall) -> float:
    return float("inf") if call.ended is None else call.ended


def _overlap(one: EmbeddingCall, other: EmbeddingCall) -> bool:
    return one.began < _end(other) and other.began < _end(one)
