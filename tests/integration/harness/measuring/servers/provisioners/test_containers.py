"""What the provisioner `testcontainers` promises beyond the contract, on a real engine."""

import asyncio
import socket
import sys
from collections.abc import Generator

import asyncpg
import pytest

from harness.errors import ProvisioningError
from harness.measuring.servers.provisioners import engine_answers, provisioner
from harness.measuring.servers.provisioners.protocol import DatabaseSettings
from tests.waiting import until

pytestmark = pytest.mark.needs("engine")
if engine_answers():
    from docker.models.containers import Container
    from testcontainers.core.docker_client import DockerClient

    from harness.measuring.servers.provisioners.testcontainers import LABEL_PROCESS, LABEL_RUN, ContainerProvisioner

RUN_THAT_WAITS = """
import asyncio
from harness.measuring.servers.provisioners.testcontainers import ContainerProvisioner

async def disrupt(server, disruption):
    await server.disrupted(disruption).__aenter__()
    print("disrupted", flush=True)

async def main():
    async with ContainerProvisioner(image=%r).start({}) as server:
        print("started", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def engine() -> Generator["DockerClient"]:
    client = DockerClient()
    yield client
    client.client.close()


@pytest.fixture
def image(engine: "DockerClient") -> Generator[str]:
    """A name of this test's own for the usual image, so that its containers are told from those of other tests."""
    usual = engine.client.images.get(ContainerProvisioner().image)
    own = f"local/of-this-test:{id(usual)}"
    usual.tag(own)
    yield own
    engine.client.images.remove(own)


def containers(engine: "DockerClient", image: str) -> "list[Container]":
    found = engine.client.containers.list(all=True, filters={"label": LABEL_RUN}, ignore_removed=True)
    return [container for container in found if container.attrs["Config"]["Image"] == image]


async def until_none(engine: "DockerClient", image: str) -> None:
    async def none() -> bool:
        return not containers(engine, image)

    await until(none)


async def test_limits_hold_and_are_in_the_facts(engine: "DockerClient", image: str) -> None:
    limited = ContainerProvisioner(image, cpus=1.5, memory_mb=512, shm_mb=300)
    async with limited.start({}) as server:
        (container,) = containers(engine, image)
        host = container.attrs["HostConfig"]
        assert (host["NanoCpus"], host["Memory"], host["ShmSize"]) == (1_500_000_000, 512 << 20, 300 << 20)
        stated = {"image": image, "cpus": "1.5", "memory_mb": "512", "shm_mb": "300"}
        assert stated.items() <= server.facts.runtime.items()
        assert server.facts.runtime["image_id"].startswith("sha256:")


async def test_it_listens_on_this_machine_alone_and_its_password_is_on_no_command_line(
    engine: "DockerClient", image: str
) -> None:
    async with ContainerProvisioner(image).start({}) as server:
        (container,) = containers(engine, image)
        assert {binding["HostIp"] for binding in container.ports["5432/tcp"] or ()} == {"127.0.0.1"}
        assert container.attrs["Config"]["Cmd"][0] == "postgres"
        assert "PASSWORD" not in str(container.attrs["Config"]["Cmd"]).upper()
        assert container.labels[LABEL_PROCESS]
        assert server.facts.provisioner == "testcontainers"


async def test_statements_can_be_counted_and_plans_logged(image: str) -> None:
    async with ContainerProvisioner(image).start({"shared_preload_libraries": "vector"}) as server:
        connection = await asyncpg.connect(await server.create_database("any"))
        await connection.execute("CREATE EXTENSION pg_stat_statements")
        assert await connection.fetchval("SELECT count(*) > 0 FROM pg_stat_statements")
        assert await connection.fetchval("SHOW auto_explain.log_analyze") == "off"
        await connection.close()
        assert server.facts.settings["shared_preload_libraries"] == "vector,pg_stat_statements,auto_explain"


async def test_a_parallel_index_build_has_room_in_shared_memory(image: str) -> None:
    """The engine's own 64 MB would not hold it."""
    async with ContainerProvisioner(image).start({"maintenance_work_mem": "256MB"}) as server:
        connection = await asyncpg.connect(await server.create_database("any"))
        await connection.execute(
            "CREATE TABLE thing AS SELECT array_agg(random())::vector(64) AS position"
            " FROM generate_series(1, 4000) AS row, generate_series(1, 64) GROUP BY row"
        )
        await connection.execute("ALTER TABLE thing SET (parallel_workers = 2)")
        await connection.execute("CREATE INDEX ON thing USING hnsw (position vector_l2_ops)")
        await connection.close()


async def test_a_server_that_does_not_start_is_quoted_and_gone(engine: "DockerClient", image: str) -> None:
    with pytest.raises(ProvisioningError, match='unrecognized configuration parameter "shared_bufers"'):
        await ContainerProvisioner(image).start({"shared_bufers": "1GB"}).__aenter__()
    assert not containers(engine, image)


async def test_a_server_that_takes_too_long_is_given_up(engine: "DockerClient", image: str) -> None:
    with pytest.raises(ProvisioningError, match="did not answer within 0 s"):
        await ContainerProvisioner(image, start_timeout_s=0).start({}).__aenter__()
    assert not containers(engine, image)


async def test_the_log_outlives_the_server_and_is_empty_without_its_container(
    engine: "DockerClient", image: str
) -> None:
    async with ContainerProvisioner(image).start({}) as server:
        (container,) = containers(engine, image)
        container.kill()
        assert "ready to accept connections" in await server.log()
        container.remove(force=True, v=True)
        assert await server.log() == ""


async def test_an_image_that_is_not_to_be_had_is_named_with_what_to_do() -> None:
    with pytest.raises(ProvisioningError, match=r"no image localhost:1/nothing:1 here.*--database embedded"):
        await ContainerProvisioner("localhost:1/nothing:1").start({}).__aenter__()


async def test_a_setting_of_the_containers_own_is_refused() -> None:
    with pytest.raises(ProvisioningError, match="`port` is the container server's own"):
        await ContainerProvisioner().start({"port": "5432"}).__aenter__()


async def test_a_start_that_is_cancelled_leaves_nothing(engine: "DockerClient", image: str) -> None:
    async def start() -> None:
        async with ContainerProvisioner(image).start({}):
            pytest.fail("It was cancelled before.")

    async def made() -> bool:
        return bool(containers(engine, image))

    starting = asyncio.create_task(start())
    await until(made)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not containers(engine, image)


async def test_a_run_killed_while_its_server_starts_leaves_nothing(engine: "DockerClient", image: str) -> None:
    async def made() -> bool:
        return bool(containers(engine, image))

    run = await asyncio.create_subprocess_exec(sys.executable, "-c", RUN_THAT_WAITS % image)
    await until(made)
    run.kill()
    await run.wait()
    await until_none(engine, image)


@pytest.mark.parametrize("disruption", ["restart", "kill", "pause"])
async def test_a_run_killed_while_its_server_is_disrupted_leaves_nothing(
    engine: "DockerClient", image: str, disruption: str
) -> None:
    program = RUN_THAT_WAITS.replace('print("started", flush=True)', f'await disrupt(server, "{disruption}")')
    run = await asyncio.create_subprocess_exec(sys.executable, "-c", program % image, stdout=asyncio.subprocess.PIPE)
    assert run.stdout is not None
    await run.stdout.readline()
    run.kill()
    await run.wait()
    await until_none(engine, image)


async def test_what_a_power_cut_left_is_cleaned_away(engine: "DockerClient", image: str) -> None:
    """Process 1 began before it: this container's process is no more."""
    labels = {LABEL_RUN: "gone", LABEL_PROCESS: f"{socket.gethostname()}/1/1.0"}
    left = engine.client.containers.create(image, labels=labels)
    elsewhere = engine.client.containers.create(image, labels=labels | {LABEL_PROCESS: "another-host/1/1.0"})
    async with ContainerProvisioner(image).start({}):
        assert f"container {left.name}" in await ContainerProvisioner(image).clean()
        assert len(containers(engine, image)) == 2
    assert [container.name for container in containers(engine, image)] == [elsewhere.name]
    elsewhere.remove()


async def test_an_engine_that_answers_is_what_auto_takes() -> None:
    assert (await provisioner(DatabaseSettings(provisioner="auto"))).name == "testcontainers"
