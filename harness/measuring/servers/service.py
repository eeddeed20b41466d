"""The service `anima serve` in a process of its own, which ends when its user does, however that ends.

`serving` starts it; `process` is what the reaper's child holds open. Nothing here knows what the service answers.
"""

import asyncio
import http.client
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import IO, Final

from harness.children import local_environment, python
from harness.errors import HarnessError, ProvisioningError
from harness.measuring.servers.reaper import Ended, Watch, outliving
from harness.redaction import without_secrets

HOST: Final = "127.0.0.1"
START_TIMEOUT_S: Final = 120.0
STOP_TIMEOUT_S: Final = 40.0
POLL_S: Final = 0.05
LOG_LINES: Final = 5
LINE_SHOWN: Final = 300
"""Characters of each of them."""


@asynccontextmanager
async def serving(
    strategy: str, database_url: str, embedding_url: str | None, redis_url: str | None
) -> AsyncGenerator[str]:
    """The address of a service that is ready; raises `ProvisioningError`. Without an embedding server it needs none."""
    port = await asyncio.to_thread(_free_port)
    arguments = {"port": str(port), "strategy": strategy, "database_url": database_url}
    others = {"embedding_url": embedding_url or "", "redis_url": redis_url or ""}
    async with outliving(f"{__name__}:process", **arguments, **others) as ended, while_it_lives(ended):
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


@contextmanager
def process(port: str, strategy: str, database_url: str, embedding_url: str, redis_url: str) -> Generator[Watch]:
    """Runs `anima serve` from its readiness to the end of the block. Addresses are not in its command line."""
    provider = {"ANIMA_EMBEDDING_PROVIDER": "ollama", "ANIMA_OLLAMA_URL": embedding_url}
    environment: dict[str, str] = {
        **{name: value for name, value in local_environment().items() if not name.startswith("ANIMA_")},
        **(provider if embedding_url else {"ANIMA_EMBEDDING_PROVIDER": "hashing"}),
        **({"ANIMA_REDIS_URL": redis_url} if redis_url else {}),
        "ANIMA_DATABASE_URL": database_url,
    }
    command = python("-m", "anima", "serve", "--host", HOST, "--port", port, "--strategy", strategy)
    with tempfile.TemporaryFile() as log:
        service = subprocess.Popen(  # noqa: S603 -- this interpreter, with arguments of the harness's own
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        try:
            _wait_until_ready(int(port), service, log)
            yield lambda: _last_words(service, log)
        finally:
            _end(service)


def _wait_until_ready(port: int, service: "subprocess.Popen[bytes]", log: IO[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not _answers(port):
        if service.poll() is not None:
            raise ProvisioningError(f"`anima serve` ended before it was ready. {_last_lines(log)}")
        if time.monotonic() > deadline:
            raise ProvisioningError(f"`anima serve` was not ready within {START_TIMEOUT_S:g} s. {_last_lines(log)}")
        time.sleep(POLL_S)


def _answers(port: int) -> bool:
    """Asked without `urllib`, which would ask the environment's proxy for it."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1.0)
    try:
        connection.request("GET", "/ready")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (http.client.HTTPException, OSError):
        return False
    finally:
        connection.close()


def _last_words(service: "subprocess.Popen[bytes]", log: IO[bytes]) -> str:
    """Waits for its end."""
    code = service.wait()
    how = f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
    return f"The service `anima serve` ended by itself ({how}). {_last_lines(log)}"


def _end(service: "subprocess.Popen[bytes]") -> None:
    """In order, as a deployment would; a service that does not end is not waited for without end."""
    service.terminate()
    try:
        service.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        service.kill()
        service.wait()


def _last_lines(log: IO[bytes]) -> str:
    log.seek(0)
    lines = without_secrets(log.read().decode(errors="replace")).splitlines()[-LOG_LINES:]
    return "It said:\n" + "\n".join(f"  {line[:LINE_SHOWN]}" for line in lines) + "\n" if lines else "It said nothing."


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        return int(listener.getsockname()[1])
