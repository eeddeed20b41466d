"""Hosts with addresses of their own and a network between that is slow, loses packets and is cut."""

import os
import subprocess
from collections.abc import Generator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from harness.children import local_environment, modules_of_ours
from harness.errors import HarnessError
from harness.measuring.hosts.local_cluster import _dask_worker
from harness.measuring.hosts.protocol import Hosts
from tests.clusters import measured, samples_come

pytest.importorskip("distributed", reason="distributed comes with the extra `cluster`")

from harness.measuring.hosts._shared import dask_hosts
from harness.measuring.hosts._shared.own_cluster import HostCommand, cluster_of, own_scheduler

pytestmark = [pytest.mark.nightly, pytest.mark.needs("namespaces")]

HOSTS = 2
NETWORK = "10.213.77"
DELAY_S = 0.020


def run(command: str) -> None:
    subprocess.run(command.split(), check=True, capture_output=True)


@pytest.fixture
def namespaces() -> Generator[list[str]]:
    """One for each host, behind a bridge of this machine."""
    mark = f"h{os.getpid() % 100_000}"
    names = [f"{mark}n{number}" for number in range(HOSTS)]
    try:
        run(f"ip link add {mark}b type bridge")
        run(f"ip addr add {NETWORK}.1/24 dev {mark}b")
        run(f"ip link set {mark}b up")
        for number, name in enumerate(names):
            run(f"ip netns add {name}")
            run(f"ip link add {name}v type veth peer name eth0 netns {name}")
            run(f"ip link set {name}v master {mark}b up")
            run(f"ip netns exec {name} ip addr add {NETWORK}.{number + 2}/24 dev eth0")
            run(f"ip netns exec {name} ip link set eth0 up")
            run(f"ip netns exec {name} ip link set lo up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
        subprocess.run(["ip", "link", "del", f"{mark}b"], check=False, capture_output=True)


async def hosts_in(stack: AsyncExitStack, names: list[str], room: Path) -> Hosts:
    address = await stack.enter_async_context(own_scheduler(f"{NETWORK}.1"))
    variables = local_environment(**modules_of_ours())
    commands: list[HostCommand] = []
    for number, name in enumerate(names):
        command = list(_dask_worker(address, name, str(room)))
        command[command.index("--host") + 1] = f"{NETWORK}.{number + 2}"
        commands.append(HostCommand(name, ["ip", "netns", "exec", name, *command], variables))
    return await stack.enter_async_context(cluster_of(address, commands))


@pytest.mark.needs("netem")
async def test_a_slow_network_that_loses_packets_loses_no_sample_and_no_start(
    namespaces: list[str], tmp_path: Path
) -> None:
    for name in namespaces:
        run(f"ip netns exec {name} tc qdisc add dev eth0 root netem delay {DELAY_S * 1000:.0f}ms loss 1%")
    async with AsyncExitStack() as stack:
        hosts = await hosts_in(stack, namespaces, tmp_path)
        variant = await measured(tmp_path / "run", hosts, 2.0)
    steady = variant.phases[0]
    assert [worker.received for worker in steady.workers] == [200, 200]
    assert [worker.host for worker in steady.workers] == namespaces
    # The way back is slow and the way there is not, which is what an error of half a round trip is for.
    assert all(worker.clock_error_s >= DELAY_S / 2 for worker in steady.workers)


async def test_a_network_that_is_cut_ends_the_run_with_the_host_that_it_was_cut_from(
    namespaces: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_hosts, "SILENCE_S_MAX", 3.0)

    async def cut() -> None:
        await samples_come(tmp_path / "run")
        run(f"ip link set {namespaces[1]}v down")

    async with AsyncExitStack() as stack:
        hosts = await hosts_in(stack, namespaces, tmp_path)
        with pytest.raises(ExceptionGroup) as raised:
            await measured(tmp_path / "run", hosts, 200.0, cut)
        run(f"ip link set {namespaces[1]}v up")
    found = raised.value.split(HarnessError)[0]
    assert found is not None
    assert f"on {namespaces[1]} is lost: it has not answered for 3 s" in str(found.exceptions) + repr(found)
