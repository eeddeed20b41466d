"""The second tier on a real Redis: what instances share, and what they do without it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from pydantic import SecretStr

from anima.assembly import open_anima
from anima.embeddings.hashing import hashed_vector
from anima.embeddings.protocol import (
    DIMENSIONS,
    Embedded,
    SharedCacheSettings,
    SharedCacheStatistics,
)
from anima.embeddings.shared_cache import SharedEmbeddings
from anima.errors import EmbeddingUnavailable
from anima.model import NewMemory
from anima.strategy import preset
from harness.measuring.servers.provisioners._shared.databases import free_port
from tests.providers import TEXT, VARIANTS, CountedProvider
from tests.redis_server import RedisServer, redis_server
from tests.waiting import until

pytestmark = pytest.mark.needs("redis-server")


class Instances:
    """Instances of a service, each with its own connections, that share one provider and one Redis."""

    def __init__(self, url: str, stack: AsyncExitStack) -> None:
        self.url = url
        self.provider = CountedProvider()
        self._stack = stack

    def start(self, *, lock_s: float = 60.0, ttl_s: float = 60.0, timeout_s: float = 5.0) -> SharedEmbeddings:
        """Times are long, so that a busy machine does not run into them where a test is about something else."""
        settings = SharedCacheSettings(
            url=SecretStr(self.url), timeout_s=timeout_s, backoff_s=60.0, lock_s=lock_s, ttl_s=ttl_s
        )
        instance = SharedEmbeddings.connect(self.provider, settings)
        self._stack.push_async_callback(instance.aclose)
        return instance


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[RedisServer]:
    with redis_server(tmp_path) as server:
        await server.until_ready()
        yield server


@pytest.fixture
async def instances(redis: RedisServer) -> AsyncIterator[Instances]:
    async with AsyncExitStack() as stack:
        yield Instances(redis.url, stack)


def counts(statistics: SharedCacheStatistics) -> dict[str, int]:
    names = ("hits", "misses", "waits", "invalid", "errors", "skipped")
    return {name: count for name in names if (count := getattr(statistics, name))}


def vector_keys(redis: RedisServer) -> list[bytes]:
    with redis.client() as client:
        return [key for key in client.scan_iter() if not key.endswith(b":lock")]


async def test_one_instance_finds_what_another_asked_for(instances: Instances, redis: RedisServer) -> None:
    first, second = instances.start(), instances.start()
    assert (await first.embed("a")).provider == "counted"
    found = await second.embed("a")
    assert found.provider == "cache"
    assert found.vector.tolist() == hashed_vector("a").tolist()
    assert not found.vector.flags.writeable
    assert instances.provider.texts == ["a"]
    assert (counts(first.statistics()), counts(second.statistics())) == ({"misses": 1}, {"hits": 1})
    with redis.client() as client:
        (key,) = client.keys()
        assert key.decode().startswith(f"anima:embedding:counted:model of counted:{DIMENSIONS}:")
        assert client.strlen(key) == DIMENSIONS * 4
        assert 0 < client.pttl(key) <= 60_000


@pytest.mark.parametrize("variant", VARIANTS)
async def test_texts_that_differ_in_any_way_do_not_share_a_vector(instances: Instances, variant: str) -> None:
    one = instances.start()
    answers = [(await one.embed(text)).provider for text in (TEXT, variant, TEXT)]
    assert answers == ["counted", "counted", "cache"]


async def test_two_models_do_not_share_a_vector(instances: Instances) -> None:
    first, second = instances.start(), instances.start()
    await first.embed("a")
    instances.provider.model = "another model"
    assert (await second.embed("a")).provider == "counted"


async def test_while_one_instance_asks_the_others_wait_for_its_answer(instances: Instances) -> None:
    instances.provider.open.clear()
    asking = [asyncio.create_task(instances.start().embed("a")) for _ in range(5)]
    await until(lambda: _true(instances.provider.texts == ["a"]))
    instances.provider.open.set()
    answers = await asyncio.gather(*asking)
    assert sorted(answer.provider for answer in answers) == ["cache"] * 4 + ["counted"]
    assert instances.provider.texts == ["a"]


async def test_an_instance_that_never_answers_delays_the_others_no_longer_than_its_lock(instances: Instances) -> None:
    instances.provider.open.clear()
    dead, alive = instances.start(), instances.start(lock_s=0.1)
    hanging = asyncio.create_task(dead.embed("a"))
    await until(lambda: _true(instances.provider.texts == ["a"]))
    second = asyncio.create_task(alive.embed("a"))
    await until(lambda: _true(instances.provider.texts == ["a", "a"]))
    assert alive.statistics().waits == 1
    instances.provider.open.set()
    assert (await second).provider == (await hanging).provider == "counted"


async def test_a_failed_call_is_not_kept_and_frees_its_lock_at_once(instances: Instances) -> None:
    instances.provider.failure = EmbeddingUnavailable("Down.")
    with pytest.raises(EmbeddingUnavailable):
        await instances.start().embed("a")
    instances.provider.failure = None
    second = instances.start()
    assert (await second.embed("a")).provider == "counted"
    assert second.statistics().waits == 0


async def test_what_a_fallback_answered_is_not_kept(instances: Instances, redis: RedisServer) -> None:
    class Fallen(CountedProvider):
        async def embed(self, text: str) -> Embedded:
            return Embedded(hashed_vector(text), "another")

    instances.provider = Fallen()
    assert (await instances.start().embed("a")).provider == "another"
    assert vector_keys(redis) == []


async def test_a_lock_that_has_become_anothers_is_left_to_it(instances: Instances, redis: RedisServer) -> None:
    instances.provider.open.clear()
    slow = asyncio.create_task(instances.start().embed("a"))
    await until(lambda: _true(instances.provider.texts == ["a"]))
    with redis.client() as client:
        (lock,) = client.keys("*:lock")
        client.set(lock, b"another's token")
        instances.provider.open.set()
        await slow
        assert client.get(lock) == b"another's token"


@pytest.mark.parametrize(
    "value",
    [b"", b"\0" * 3071, b"\0" * 3072, b"\xff" * 3072, b"<html>"],
    ids=["empty", "too short", "zeros", "NaN", "no vector"],
)
async def test_what_is_no_vector_is_replaced(instances: Instances, redis: RedisServer, value: bytes) -> None:
    instance = instances.start()
    await instance.embed("a")
    (key,) = vector_keys(redis)
    with redis.client() as client:
        client.set(key, value)
        assert (await instance.embed("a")).provider == "counted"
        assert instance.statistics().invalid > 0
        assert client.strlen(key) == DIMENSIONS * 4
    assert (await instance.embed("a")).provider == "cache"


async def test_many_texts_are_looked_up_at_once_and_what_is_new_is_kept(instances: Instances) -> None:
    first, second = instances.start(), instances.start()
    await first.embed("b")
    answers = await second.embed_many(["a", "b", "c"])
    assert [answer.provider for answer in answers] == ["counted", "cache", "counted"]
    assert [answer.vector.tolist() for answer in answers] == [hashed_vector(text).tolist() for text in "abc"]
    assert [answer.provider for answer in await first.embed_many(["a", "b", "c"])] == ["cache"] * 3
    assert await first.embed_many([]) == []


async def test_without_redis_the_provider_is_asked_and_redis_left_alone() -> None:
    async with AsyncExitStack() as stack:
        instances = Instances(f"redis://127.0.0.1:{free_port('127.0.0.1')}/0", stack)
        instance = instances.start()
        assert [(await instance.embed(text)).provider for text in "aab"] == ["counted"] * 3
        assert (await instance.embed_many(["a"]))[0].provider == "counted"
        statistics = instance.statistics()
        assert (statistics.errors, statistics.circuit) == (1, "open")


async def test_a_redis_that_hangs_costs_one_time_limit_and_its_late_answer_reaches_nobody(
    instances: Instances, redis: RedisServer
) -> None:
    instance = instances.start(timeout_s=0.2)
    await instance.embed("a")
    redis.pause()
    assert (await instance.embed("a")).provider == "counted"
    assert (await instance.embed("b")).provider == "counted"
    redis.resume()
    assert instance.statistics().errors == 1
    recovered = instances.start()
    assert (await recovered.embed("a")).vector.tolist() == hashed_vector("a").tolist()


async def test_a_redis_that_is_full_still_answers_what_it_knows(instances: Instances, redis: RedisServer) -> None:
    instance = instances.start()
    await instance.embed("a")
    with redis.client() as client:
        client.config_set("maxmemory", "1")
    assert (await instance.embed("b")).provider == "counted"
    assert (await instance.embed("a")).provider == "cache"
    assert instance.statistics().circuit == "closed"


async def test_a_memory_system_looks_in_its_process_then_in_redis_then_asks(
    redis: RedisServer, database_url: str
) -> None:
    provider = CountedProvider()
    settings = SharedCacheSettings(url=SecretStr(redis.url), timeout_s=5.0)
    answered: list[str] = []
    for _ in range(2):
        async with open_anima(database_url, preset("batched"), provider, shared_cache=settings) as anima:
            for _ in range(2):
                added = await anima.memory.add(NewMemory.parse(content="a"))
                answered.append(added.embedding_provider)
            assert anima.cache is not None
            assert anima.cache.statistics().hits == 1
    assert answered == ["counted", "cache", "cache", "cache"]
    assert provider.texts == ["a"]


async def _true(condition: bool) -> bool:
    return condition
