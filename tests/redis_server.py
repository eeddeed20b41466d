"""A Redis server of a test's own, on a free port of the loopback interface, with nothing kept on disk."""

import os
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from harness.measuring.servers.provisioners._shared.databases import free_port
from tests.waiting import until


@dataclass(frozen=True, slots=True)
class RedisServer:
    port: int
    process_id: int

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> "Redis":
        return Redis.from_url(self.url)

    def pause(self) -> None:
        """It accepts connections from now on, and answers none."""
        os.kill(self.process_id, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process_id, signal.SIGCONT)

    async def until_ready(self) -> None:
        async def answers() -> bool:
            try:
                with self.client() as client:
                    return bool(client.ping())
            except (RedisError, OSError):
                return False

        await until(answers)


@contextmanager
def redis_server(directory: Path, *, port: int | None = None) -> Generator[RedisServer]:
    """For tests that say `needs("redis-server")`."""
    port = port or free_port("127.0.0.1")
    options = ("--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no", "--dir", str(directory))
    process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
    try:
        yield RedisServer(port, process.pid)
    finally:
        process.kill()
        process.wait()
