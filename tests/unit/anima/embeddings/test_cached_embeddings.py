import asyncio
import gc
from collections.abc import Callable

import pytest

from anima.embeddings.cache import CachedEmbeddings
from anima.embeddings.fallback import FallbackEmbeddings
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.protocol import DIMENSIONS, Embedded
from anima.errors import EmbeddingUnavailable
from anima.spending import Spent, spending_of_request
from tests.providers import TEXT, VARIANTS, CountedProvider


class ManualClock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


async def until(condition: Callable[[], bool]) -> None:
    """Lets the other tasks run until the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 -- what is waited for is in the code under test, which has no event
            await asyncio.sleep(0)


async def providers(embeddings: CachedEmbeddings, *texts: str) -> list[str]:
    return [(await embeddings.embed(text)).provider for text in texts]


async def test_a_text_is_asked_for_once_and_then_answered_by_the_cache() -> None:
    counted = CountedProvider()
    embeddings = CachedEmbeddings(counted)
    assert await providers(embeddings, "a", "a", "b", "a") == ["counted", "cache", "counted", "cache"]
    assert (await embeddings.embed("a")).vector.tolist() == hashed_vector("a").tolist()
    assert counted.texts == ["a", "b"]


@pytest.mark.parametrize("variant", VARIANTS)
async def test_texts_that_differ_in_any_way_do_not_share_a_vector(variant: str) -> None:
    """A provider may tell apart what looks alike, so a key is of the text as it stands."""
    counted = CountedProvider()
    embeddings = CachedEmbeddings(counted)
    assert await providers(embeddings, TEXT, variant, TEXT, variant) == ["counted", "counted", "cache", "cache"]
    assert counted.texts == [TEXT, variant]
    await CachedEmbeddings(counted).embed_many([TEXT, variant])
    assert counted.texts == [TEXT, variant] * 2


async def test_a_hit_makes_an_entry_recent_so_that_another_leaves() -> None:
    embeddings = CachedEmbeddings(CountedProvider(), max_entries=2)
    await providers(embeddings, "a", "b", "a", "c")
    assert await providers(embeddings, "a", "c", "b") == ["cache", "cache", "counted"]
    assert embeddings.statistics().evictions == 2


async def test_reading_the_statistics_does_not_make_an_entry_recent() -> None:
    embeddings = CachedEmbeddings(CountedProvider(), max_entries=2)
    await providers(embeddings, "a", "b", "a")
    embeddings.statistics()
    await embeddings.embed("c")
    assert await providers(embeddings, "a") == ["cache"]


async def test_an_entry_leaves_when_its_time_is_over_however_often_it_was_hit() -> None:
    clock = ManualClock()
    embeddings = CachedEmbeddings(CountedProvider(), ttl_s=60.0, clock=clock)
    await embeddings.embed("a")
    clock.now_s = 59.9
    assert await providers(embeddings, "a") == ["cache"]
    clock.now_s = 60.0
    assert embeddings.statistics().size == 0
    assert await providers(embeddings, "a") == ["counted"]
    assert embeddings.statistics().expirations == 1


async def test_an_expired_entry_makes_room_before_a_live_one_has_to() -> None:
    clock = ManualClock()
    embeddings = CachedEmbeddings(CountedProvider(), max_entries=2, ttl_s=60.0, clock=clock)
    await embeddings.embed("old")
    clock.now_s = 30.0
    await embeddings.embed("young")
    await embeddings.embed("old")
    clock.now_s = 60.0
    await embeddings.embed("new")
    assert await providers(embeddings, "young") == ["cache"]
    assert embeddings.statistics().evictions == 0


async def test_those_who_ask_for_one_text_at_once_share_one_call() -> None:
    counted = CountedProvider()
    counted.open.clear()
    embeddings = CachedEmbeddings(counted)
    waiters = [asyncio.create_task(embeddings.embed(text)) for text in ("a", "a", "b", "a")]
    await until(lambda: len(counted.texts) == 2)
    counted.open.set()
    assert {answer.provider for answer in await asyncio.gather(*waiters)} == {"counted"}
    assert sorted(counted.texts) == ["a", "b"]
    statistics = embeddings.statistics()
    assert (statistics.misses, statistics.coalesced, statistics.hits) == (2, 2, 0)


async def test_only_those_who_join_a_call_spend_time_on_another_requests() -> None:
    counted = CountedProvider()
    counted.open.clear()
    embeddings = CachedEmbeddings(counted)

    async def spent() -> Spent:
        with spending_of_request() as spent:
            await embeddings.embed("a")
        return spent

    asking, joining = (asyncio.create_task(spent()) for _ in range(2))
    await until(lambda: embeddings.statistics().coalesced == 1)
    counted.open.set()
    assert "coalesced" not in await asking
    assert (await joining)["coalesced"] > 0


async def test_a_waiter_that_gives_up_leaves_the_call_to_the_others() -> None:
    counted = CountedProvider()
    counted.open.clear()
    embeddings = CachedEmbeddings(counted)
    first, second = (asyncio.create_task(embeddings.embed("a")) for _ in range(2))
    await until(lambda: embeddings.statistics().coalesced == 1)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    counted.open.set()
    assert (await second).provider == "counted"
    assert counted.texts == ["a"]


async def test_a_call_that_nobody_waits_for_any_more_still_fills_the_cache() -> None:
    counted = CountedProvider()
    counted.open.clear()
    embeddings = CachedEmbeddings(counted)
    only = asyncio.create_task(embeddings.embed("a"))
    await until(lambda: counted.texts == ["a"])
    only.cancel()
    counted.open.set()
    await until(lambda: embeddings.statistics().size == 1)
    assert await providers(embeddings, "a") == ["cache"]


async def test_a_failed_call_that_nobody_waits_for_any_more_is_not_reported_as_forgotten() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    counted = CountedProvider(failure=EmbeddingUnavailable("Down."))
    counted.open.clear()
    embeddings = CachedEmbeddings(counted)
    only = asyncio.create_task(embeddings.embed("a"))
    await until(lambda: counted.texts == ["a"])
    only.cancel()
    await asyncio.wait([only])
    # It holds the call in its traceback, and asyncio reports a forgotten error when the call is collected.
    del only
    counted.open.set()
    await until(lambda: not embeddings._calls)
    gc.collect()
    assert reported == []


async def test_an_error_reaches_all_who_wait_and_is_not_kept() -> None:
    counted = CountedProvider(failure=EmbeddingUnavailable("Down."))
    embeddings = CachedEmbeddings(counted)
    answers = await asyncio.gather(*(embeddings.embed("a") for _ in range(3)), return_exceptions=True)
    assert [str(answer) for answer in answers] == ["Down."] * 3
    counted.failure = None
    assert await providers(embeddings, "a", "a") == ["counted", "cache"]
    assert counted.texts == ["a", "a"]


async def test_what_a_fallback_answered_is_not_kept_as_the_primarys() -> None:
    primary = CountedProvider("primary", EmbeddingUnavailable("Down."))
    embeddings = CachedEmbeddings(FallbackEmbeddings(primary, CountedProvider("secondary")))
    assert await providers(embeddings, "a", "a") == ["secondary", "secondary"]
    primary.failure = None
    assert await providers(embeddings, "a", "a") == ["primary", "cache"]


async def test_two_models_of_one_provider_do_not_share_a_vector() -> None:
    counted = CountedProvider()
    embeddings = CachedEmbeddings(counted)
    await embeddings.embed("a")
    counted.model = "another model"
    assert await providers(embeddings, "a") == ["counted"]


async def test_a_caller_cannot_change_what_the_next_one_gets() -> None:
    class Writable(CountedProvider):
        async def embed(self, text: str) -> Embedded:
            return Embedded(hashed_vector(text).copy(), self.name)

    embeddings = CachedEmbeddings(Writable())
    for _ in ("miss", "hit"):
        answer = await embeddings.embed("a")
        with pytest.raises(ValueError, match="read-only"):
            answer.vector[0] = 7.0


async def test_the_statistics_of_a_cache_that_was_never_asked_have_a_hit_rate_of_zero() -> None:
    assert CachedEmbeddings(CountedProvider()).statistics().hit_rate == 0.0


async def test_statistics_add_up() -> None:
    embeddings = CachedEmbeddings(CountedProvider(), max_entries=5)
    await providers(embeddings, "a", "b", "a", "a")
    statistics = embeddings.statistics()
    assert (statistics.hits, statistics.misses, statistics.size, statistics.max_size) == (2, 2, 2, 5)
    assert statistics.hit_rate == 0.5
    assert statistics.bytes == 2 * DIMENSIONS * 4


async def test_closing_ends_the_calls_under_way_and_closes_the_provider() -> None:
    counted = CountedProvider()
    counted.open.clear()
    embeddings = CachedEmbeddings(counted)
    waiter = asyncio.create_task(embeddings.embed("a"))
    await until(lambda: counted.texts == ["a"])
    await embeddings.aclose()
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert counted.closed


async def test_of_many_texts_the_unknown_ones_are_asked_for_together_and_kept() -> None:
    counted = CountedProvider()
    embeddings = CachedEmbeddings(counted)
    await embeddings.embed("a")
    answers = await embeddings.embed_many(["b", "a", "b", "c"])
    assert [answer.provider for answer in answers] == ["counted", "cache", "counted", "counted"]
    assert [answer.vector.tolist() for answer in answers] == [hashed_vector(text).tolist() for text in "babc"]
    assert counted.texts == ["a", "b", "c"]
    assert await providers(embeddings, "b", "c") == ["cache", "cache"]


async def test_what_a_cache_behind_it_knew_is_kept() -> None:
    behind = CountedProvider()
    embeddings = CachedEmbeddings(CachedEmbeddings(behind))
    await embeddings._provider.embed("a")
    assert await providers(embeddings, "a", "a") == ["cache", "cache"]
    assert embeddings.statistics().hits == 1
