"""A Redis of a run's own: it answers, forgets, is for who has its password, and goes however the run ends."""

import asyncio
import io
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Generator
from functools import partial

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, RedisError

from harness.errors import ProvisioningError
from harness.measuring.servers import redis_server as module
from harness.measuring.servers.redis_server import PROGRAM, REDIS, CacheSettings, redis_server
from tests.waiting import until

RUN_THAT_WAITS = """
import asyncio, sys
from harness.measuring.servers.redis_server import CacheSettings, redis_server

async def main():
    async with redis_server(CacheSettings(redis=sys.argv[1], image=sys.argv[2])) as server:
        print(server.url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def image() -> Generator[str]:
    """An image of this machine's own Redis, since a registry may be out of reach: program, shell and libraries."""
    from testcontainers.core.docker_client import DockerClient  # noqa: PLC0415 -- an extra

    name = f"local/redis-of-process-{os.getpid()}"
    client = DockerClient()
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", dereference=True) as files:
        for path in programs():
            files.add(path)
    client.client.api.import_image_from_data(layer.getvalue(), repository=name, tag="1")
    yield f"{name}:1"
    client.client.images.remove(f"{name}:1", force=True)
    client.client.close()


def programs() -> set[str]:
    found = {str(shutil.which(PROGRAM)), "/bin/sh"}
    for program in tuple(found):
        listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.split()
        found |= {word for word in listed if word.startswith("/")}
    return found


@pytest.fixture(
    params=[pytest.param(name, marks=[pytest.mark.needs("engine")] * (name == "container")) for name in REDIS]
)
def settings(request: pytest.FixtureRequest) -> CacheSettings:
    if request.param == "program":
        return CacheSettings(redis="program")
    return CacheSettings(redis="container", image=request.getfixturevalue("image"))


def is_gone(url: str) -> bool:
    try:
        with Redis.from_url(url) as client:
            client.ping()
    except (RedisError, OSError):
        return True
    return False


@pytest.mark.needs("redis-server")
async def test_it_keeps_what_it_is_told_until_it_is_emptied_and_is_gone_afterwards(settings: CacheSettings) -> None:
    async with redis_server(settings) as server:
        assert server is not None
        with Redis.from_url(server.url) as client:
            client.set("text", "vector")
            assert client.get("text") == b"vector"
            await server.empty()
            assert client.get("text") is None
            assert client.config_get("save")["save"] == ""
        assert server.source == settings.redis
        assert int(server.version.partition(".")[0]) >= 6
    assert is_gone(server.url)


@pytest.mark.needs("redis-server")
async def test_who_has_no_password_is_turned_away_and_nobody_reads_it_in_passing(settings: CacheSettings) -> None:
    async with redis_server(settings) as server:
        assert server is not None
        password, _, place = server.url.removeprefix("redis://:").rpartition("@")
        assert password not in repr(server)
        with Redis.from_url(f"redis://{place}") as client, pytest.raises(AuthenticationError):
            client.ping()


@pytest.mark.needs("redis-server")
async def test_it_is_gone_after_its_run_was_killed(settings: CacheSettings) -> None:
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN_THAT_WAITS, str(settings.redis), settings.image, stdout=asyncio.subprocess.PIPE
    )
    assert run.stdout is not None
    url = (await run.stdout.readline()).decode().strip()
    assert not is_gone(url)
    run.kill()
    await run.wait()

    async def gone() -> bool:
        return await asyncio.to_thread(partial(is_gone, url))

    await until(gone)


@pytest.mark.needs("redis-server")
async def test_auto_takes_the_program_where_no_container_is_to_be_had() -> None:
    async with redis_server(CacheSettings(redis="auto", image="localhost:1/nothing:1")) as server:
        assert server is not None
        assert server.source == "program"


async def test_without_any_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "engine_answers", lambda: False)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(ProvisioningError, match="apt-get install redis-server"):
        await redis_server(CacheSettings(redis="auto")).__aenter__()


async def test_a_scenario_that_wants_none_gets_none() -> None:
    async with redis_server(CacheSettings()) as server:
        assert server is None
