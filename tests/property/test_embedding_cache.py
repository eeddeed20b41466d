"""The cache against a model of it that is too simple to be wrong: a list in order of use, scanned each time."""

import asyncio
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.protocol import CacheStatistics, Embedded
from anima.errors import EmbeddingUnavailable
from tests.providers import CountedProvider

TTL_S = 10.0
FAILING_TEXT = "failing"

Texts = tuple[str, ...]
texts = st.sampled_from(["a", "b", "c", "d", FAILING_TEXT])
asked_at_once = st.lists(texts, min_size=1, max_size=4).map(tuple)
seconds_passing = st.sampled_from([0.5, 4.0, 5.0, 10.0, 25.0])
steps = st.lists(asked_at_once | seconds_passing, max_size=60)


class FailingForOne(CountedProvider):
    async def embed(self, text: str) -> Embedded:
        await asyncio.sleep(0)
        if text == FAILING_TEXT:
            raise EmbeddingUnavailable("Down.")
        return await super().embed(text)


@dataclass
class Model:
    """`entries` are (text, end of its time), least recently used first."""

    max_entries: int
    now_s: float = 0.0
    entries: list[tuple[str, float]] = field(default_factory=list[tuple[str, float]])
    hits: int = 0
    misses: int = 0
    coalesced: int = 0
    evictions: int = 0
    expirations: int = 0

    def ask_at_once(self, asked: Texts) -> list[str]:
        """All look before any call has ended."""
        self._expire()
        calls: list[str] = []
        answers = [self._look_up(text, calls) for text in asked]
        for text in calls:
            if text != FAILING_TEXT:
                self._keep(text)
        return answers

    def statistics(self) -> CacheStatistics:
        self._expire()
        lookups = self.hits + self.misses + self.coalesced
        return CacheStatistics(
            hits=self.hits,
            misses=self.misses,
            coalesced=self.coalesced,
            evictions=self.evictions,
            expirations=self.expirations,
            size=len(self.entries),
            max_size=self.max_entries,
            hit_rate=self.hits / lookups if lookups else 0.0,
            bytes=sum(hashed_vector(text).nbytes for text, _ in self.entries),
        )

    def _expire(self) -> None:
        live = [entry for entry in self.entries if self.now_s < entry[1]]
        self.expirations += len(self.entries) - len(live)
        self.entries = live

    def _look_up(self, text: str, calls: list[str]) -> str:
        for entry in self.entries:
            if entry[0] == text:
                self.entries.remove(entry)
                self.entries.append(entry)
                self.hits += 1
                return "cache"
        if text in calls:
            self.coalesced += 1
        else:
            self.misses += 1
            calls.append(text)
        return "error" if text == FAILING_TEXT else "counted"

    def _keep(self, text: str) -> None:
        self.entries.append((text, self.now_s + TTL_S))
        if len(self.entries) > self.max_entries:
            self.entries.pop(0)
            self.evictions += 1


async def who_answered(embeddings: CachedEmbeddings, text: str) -> str:
    try:
        answer = await embeddings.embed(text)
    except EmbeddingUnavailable:
        return "error"
    assert answer.vector.tolist() == hashed_vector(text).tolist()
    return answer.provider


async def follow(max_entries: int, script: list[Texts | float]) -> None:
    model = Model(max_entries)
    embeddings = CachedEmbeddings(FailingForOne(), max_entries=max_entries, ttl_s=TTL_S, clock=lambda: model.now_s)
    for step in script:
        if isinstance(step, float):
            model.now_s += step
        else:
            answers = await asyncio.gather(*(who_answered(embeddings, text) for text in step))
            assert answers == model.ask_at_once(step)
        assert embeddings.statistics() == model.statistics()


@given(max_entries=st.integers(1, 4), script=steps)
def test_the_cache_does_what_its_model_does(max_entries: int, script: list[Texts | float]) -> None:
    asyncio.run(follow(max_entries, script))
