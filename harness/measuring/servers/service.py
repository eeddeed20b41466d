"""A service that is measured, in a process of its own, which ends when its user does, however that ends.

`serving` starts it; `process` is what the reaper's child holds open. Nothing here knows what the service answers.
"""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Final
from urllib.parse import urlsplit

import psutil

from harness.errors import HarnessError, ProvisioningError
from harness.measuring.servers.processor_time import used_s
from harness.measuring.servers.provisioners._shared.databases import free_port
from harness.measuring.servers.reaper import Ended, ReaperWatch, outliving
from harness.redaction import without_secrets

HOST: Final = "127.0.0.1"
PORT: Final = "{port}"
"""Stands for the port, in the command and in what is stated in its environment."""

START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 40.0
POLL_S: Final = 0.05
LOG_LINES: Final = 20
LOG_BYTES_READ: Final = 64 * 1024
LINE_SHOWN: Final = 300
"""Characters of each of them."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Says what is started. `environment` is all of it, and is told through a pipe: addresses contain passwords.

    It is ready when the path `ready` is answered with a status of success.
    """

    name: str
    command: Sequence[str]
    ready: str
    environment: Mapping[str, str] = field(repr=False)
    directory: str = "."
    start_timeout_s: float = START_TIMEOUT_S

    def on(self, port: int) -> "Launch":
        return Launch(
            self.name,
            [part.replace(PORT, str(port)) for part in self.command],
            self.ready,
            {name: value.replace(PORT, str(port)) for name, value in self.environment.items()},
            self.directory,
            self.start_timeout_s,
        )


@asynccontextmanager
async def serving(launch: Launch) -> AsyncGenerator[str]:
    """The address of a service that is ready; raises `ProvisioningError`."""
    port = await asyncio.to_thread(free_port, HOST)
    as_json = json.dumps(asdict(launch.on(port)))
    async with outliving(f"{__name__}:process", port=str(port), launch=as_json) as ended, while_it_lives(ended):
        yield f"http://{HOST}:{port}"


@asynccontextmanager
async def while_it_lives(ended: Ended) -> AsyncGenerator[None]:
    """Cuts the block off as soon as what it uses has ended by itself. Raises `HarnessError` with what that said."""
    said: list[str] = []
    scope = asyncio.timeout(None)

    async def watch() -> None:
        said.append(await ended())
        scope.reschedule(asyncio.get_running_loop().time())

    watching = asyncio.create_task(watch())
    try:
        async with scope:
            yield
    except TimeoutError:
        if not scope.expired():
            raise
        raise HarnessError(f"{said[0]} What was measured until then is kept.") from None
    finally:
        watching.cancel()
        await asyncio.wait([watching])


class ServiceProcesses:
    """Those of a service that this process has started, if there is one that listens at the address."""

    def __init__(self, url: str | None) -> None:
        self._root = _holding(urlsplit(url).port or 0) if url else None

    async def used_s(self) -> float | None:
        """Processor seconds of all of them, those that have ended included; None where they cannot be seen."""
        if self._root is None:
            return None
        try:
            return await asyncio.to_thread(used_s, self._root)
        except psutil.Error:
            return None

    async def memory_bytes(self) -> int | None:
        """Resident in all of them; None where they cannot be seen."""
        if self._root is None:
            return None
        try:
            return sum(each.memory_info().rss for each in (self._root, *self._root.children(recursive=True)))
        except psutil.Error:
            return None

    def memory_levels(self) -> Callable[[], Mapping[str, float]]:
        """Reads what is resident in all that there are now; from when they cannot be seen, as it was."""
        processes, last = self._family(), dict[str, float]()

        def read() -> Mapping[str, float]:
            with contextlib.suppress(psutil.Error):
                last["service_memory_bytes"] = float(sum(each.memory_info().rss for each in processes))
            return dict(last) if processes else {}

        return read

    def _family(self) -> list[psutil.Process]:
        if self._root is None:
            return []
        try:
            return [self._root, *self._root.children(recursive=True)]
        except psutil.Error:
            return []


def _holding(port: int) -> psutil.Process | None:
    """Of what the children of this process have started, that whose processes listen on the port."""
    for child in psutil.Process().children():
        try:
            started = child.children()
        except psutil.Error:
            continue
        for each in started:
            if port in _ports_of(each):
                return each
    return None


@contextmanager
def process(port: str, launch: str) -> Generator[ReaperWatch]:
    """Runs the service from its readiness to the end of the block, and whatever it has started itself no longer."""
    launched = Launch(**json.loads(launch))
    with tempfile.TemporaryFile() as log:
        service = _started(launched, log)
        try:
            _wait_until_ready(launched, int(port), service, log)
            yield lambda: _last_words(launched, service, log)
        finally:
            _end(service)


def _started(launch: Launch, log: IO[bytes]) -> "subprocess.Popen[bytes]":
    """Raises `ProvisioningError` when there is no such program."""
    program = _program(launch)
    try:
        return subprocess.Popen(  # noqa: S603 -- what the scenario states, without a shell
            [program, *launch.command[1:]],
            env=dict(launch.environment),
            cwd=launch.directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    except OSError as error:
        raise ProvisioningError(f"The service {launch.name} cannot be started ({error}).") from error


def _program(launch: Launch) -> str:
    """Where it lies, on the service's own PATH, or else beside this Python, as in an environment that is not activated.

    A path is relative to the service's directory.
    """
    named = launch.command[0]
    if not Path(launch.directory).is_dir():
        raise ProvisioningError(f"The service {launch.name} cannot be started: there is no folder {launch.directory}.")
    if os.sep in named:
        found = shutil.which(os.path.abspath(os.path.join(launch.directory, named)))  # noqa: PTH100, PTH118 -- `..` stays
    else:
        here = str(Path(sys.executable).parent)
        found = shutil.which(named, path=launch.environment.get("PATH")) or shutil.which(named, path=here)
    if found is None:
        raise ProvisioningError(
            f"The service {launch.name} cannot be started: there is no program {named!r}. Install it where the harness "
            "runs, or state its path in `service.command`."
        )
    return found


def _wait_until_ready(launch: Launch, port: int, service: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
    ports: Sequence[int] = ()
    deadline = time.monotonic() + launch.start_timeout_s
    while not 200 <= (status := _status(port, launch.ready)) < 300:  # noqa: PLR2004 -- HTTP's range of success
        if service.poll() is not None:
            raise ProvisioningError(f"The service {launch.name} ended before it was ready. {_last_lines(log)}")
        if time.monotonic() > deadline:
            with contextlib.suppress(psutil.NoSuchProcess):
                ports = _ports_of(psutil.Process(service.pid))
            raise ProvisioningError(
                f"The service {launch.name} was not ready within {launch.start_timeout_s:g} s: "
                f"{_unready(launch, port, status, ports)} {_last_lines(log)}"
            )
        time.sleep(POLL_S)


def _unready(launch: Launch, port: int, status: int, ports: Sequence[int]) -> str:
    if status:
        return f"it answers GET {launch.ready} with HTTP status {status}."
    if ports and port not in ports:
        others = ", ".join(map(str, ports))
        return f"it listens on port {others}, and was told to on {port}. Have it use what stands in place of {PORT}."
    return f"nothing answers GET {launch.ready} on port {port}."


def _status(port: int, path: str) -> int:
    """0 where nothing answers. Asked without `urllib`, which would ask the environment's proxy for it."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (http.client.HTTPException, OSError):
        return 0
    finally:
        connection.close()


def _ports_of(service: psutil.Process) -> Sequence[int]:
    """On which it or a process that it has started listens; empty where that cannot be seen."""
    try:
        opened = [one for each in (service, *service.children(recursive=True)) for one in each.net_connections("tcp")]
    except (psutil.Error, OSError):
        return ()
    return sorted({one.laddr.port for one in opened if one.status == psutil.CONN_LISTEN})


def _last_words(launch: Launch, service: "subprocess.Popen[bytes]", log: IO[bytes]) -> str:
    """Waits for its end."""
    code = service.wait()
    how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
    return f"The service {launch.name} ended by itself ({how}). {_last_lines(log)}"


def _end(service: "subprocess.Popen[bytes]") -> None:
    """In order, as a deployment would; a service that does not end is not waited for without end."""
    service.terminate()
    try:
        service.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()
    # What it has started and left behind is in its session, which has its number.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(service.pid, signal.SIGKILL)


def _last_lines(log: IO[bytes]) -> str:
    log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_BYTES_READ))
    lines = without_secrets(log.read().decode(errors="replace")).splitlines()[-LOG_LINES:]
    return "It said:\n" + "\n".join(f"  {line[:LINE_SHOWN]}" for line in lines) + "\n" if lines else "It said nothing."
