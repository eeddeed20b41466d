"""Hosts that are this machine: `--workers local:4` goes the whole way of a cluster, with nothing to set up."""

import tempfile
from contextlib import asynccontextmanager
from typing import Final

from harness.children import local_environment, modules_of_ours, python
from harness.measuring.hosts._shared.numbers import number_in
from harness.measuring.hosts.protocol import HostsOpened

LOOPBACK: Final = "127.0.0.1"


class LocalCluster:
    """The kind of hosts that `local:` names."""

    def check(self, rest: str) -> None:
        number_in(rest)

    @asynccontextmanager
    async def open(self, rest: str) -> HostsOpened:
        from harness.measuring.hosts._shared.own_cluster import (  # noqa: PLC0415 -- of an extra, and slow to import.
            HostCommand,
            cluster_of,
            own_scheduler,
        )

        variables = local_environment(**modules_of_ours(), DASK_LOGGING__DISTRIBUTED="error")
        with tempfile.TemporaryDirectory(prefix="anima-harness-dask-") as room:
            async with own_scheduler(LOOPBACK) as address:
                names = [f"local-{number}" for number in range(1, number_in(rest) + 1)]
                commands = [HostCommand(name, _dask_worker(address, name, room), variables) for name in names]
                async with cluster_of(address, commands) as hosts:
                    yield hosts


def _dask_worker(address: str, name: str, room: str) -> tuple[str, ...]:
    """A command of one slot."""
    options = ("--no-nanny", "--nthreads", "1", "--no-dashboard", "--memory-limit", "0", "--host", LOOPBACK)
    module = python("-m", "distributed.cli.dask_worker", address)
    return (*module, *options, "--name", name, "--local-directory", room)
