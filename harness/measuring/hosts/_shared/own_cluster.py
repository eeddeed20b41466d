"""A dask cluster of the run's own: a scheduler in this process, and dask workers that are started for it."""

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from distributed import Scheduler, Security

from harness.errors import UsageError
from harness.measuring.hosts._shared.dask_hosts import DaskHosts, connected, quieten
from harness.measuring.servers.lifeline import hold

ENDING_S_MAX: Final = 15.0
POLL_S: Final = 0.05
COMPLAINT_BYTES: Final = 1_000


@dataclass(frozen=True, slots=True)
class HostCommand:
    """Says how the dask worker of a host is started: what to run here, with which input, in which environment."""

    host: str
    command: Sequence[str]
    variables: Mapping[str, str]
    standard_input: bytes = b""


@asynccontextmanager
async def own_scheduler(host: str, security: Security | None = None) -> AsyncGenerator[str]:
    """The address of a scheduler that listens there; on its loopback it shows itself to nobody else."""
    quieten()
    protocol = "tls" if security else "tcp"
    scheduler = Scheduler(
        host=host, port=0, protocol=protocol, security=security, dashboard=False, dashboard_address="127.0.0.1:0"
    )
    async with scheduler:
        yield scheduler.address


@asynccontextmanager
async def cluster_of(
    address: str, commands: Sequence[HostCommand], security: Security | None = None
) -> AsyncGenerator[DaskHosts]:
    """With a dask worker for each command. Raises `UsageError` with what one says that does not come."""
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(_started(each)) for each in commands]
        watching = asyncio.create_task(_first_that_ends(workers))
        connecting = stack.enter_async_context(connected(address, security, "this machine", len(commands)))
        joining = asyncio.ensure_future(connecting)
        await asyncio.wait({joining, watching}, return_when=asyncio.FIRST_COMPLETED)
        watching.cancel()
        if not joining.done():
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
            raise _absent(workers)
        try:
            hosts = await joining
        except UsageError:
            raise _absent(workers) from None
        yield hosts


@dataclass(frozen=True, slots=True)
class StartedHost:
    """The process that runs a dask worker, or reaches the host where one runs."""

    host: str
    process: subprocess.Popen[bytes]
    complaints: Any

    def complaint(self) -> str:
        self.complaints.seek(0)
        lines = self.complaints.read()[-COMPLAINT_BYTES:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


@asynccontextmanager
async def _started(each: HostCommand) -> AsyncGenerator[StartedHost]:
    with tempfile.TemporaryFile() as complaints:
        process = subprocess.Popen(  # noqa: S603, ASYNC220 -- our own module, or the user's ssh
            each.command,
            env=dict(each.variables),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            start_new_session=True,  # Ctrl-C does not reach it.
        )
        assert process.stdin is not None
        hold(process.stdin)
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(each.standard_input)
                process.stdin.flush()
            yield StartedHost(each.host, process, complaints)
        finally:
            await _ended(process)


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """It ends with its scheduler, or when it is told to."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    process.terminate()
    waited_s = 0.0
    while process.poll() is None:
        if waited_s > ENDING_S_MAX:
            process.kill()
        await asyncio.sleep(POLL_S)
        waited_s += POLL_S


async def _first_that_ends(workers: Sequence[StartedHost]) -> None:
    while all(each.process.poll() is None for each in workers):  # noqa: ASYNC110 -- nothing tells of another process.
        await asyncio.sleep(POLL_S)


def _absent(workers: Sequence[StartedHost]) -> UsageError:
    ended = [each for each in workers if each.process.poll() is not None]
    if ended:
        found = "; ".join(f"{each.host} ended ({each.process.returncode}): {each.complaint()}" for each in ended)
        return UsageError(f"Not every dask worker could be started: {found}. See to that host first.")
    names = ", ".join(each.host for each in workers)
    return UsageError(f"Not every dask worker of {names} came in time. See to those hosts first.")
