"""PgBouncer in front of a test's server, where this machine has it."""

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Literal
from urllib.parse import unquote, urlsplit, urlunsplit

from harness.measuring.servers.provisioners._shared.databases import free_port
from tests.needs import require
from tests.waiting import TIMEOUT_S

Mode = Literal["session", "transaction", "statement"]
NOBODY: Final = 65_534
"""PgBouncer refuses to run as root."""

CONFIGURATION: Final = """
[databases]
* = host={host} port={server_port} user={user} password='{password}'
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {size}
{further}
"""


@contextmanager
def pgbouncer(url: str, mode: Mode, size: int = 10, further: str = "") -> Generator[str]:
    """The URL through a PgBouncer of the test's own; skips the test where there is none."""
    require("pgbouncer")
    parts, port = urlsplit(url), free_port("127.0.0.1")
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        path = Path(directory) / "pgbouncer.ini"
        path.write_text(
            CONFIGURATION.format(
                host=parts.hostname,
                server_port=parts.port,
                user=parts.username,
                password=unquote(parts.password or "").replace("'", "''"),
                port=port,
                mode=mode,
                size=size,
                further=further,
            ),
            encoding="utf-8",
        )
        user = NOBODY if os.geteuid() == 0 else None
        with subprocess.Popen(["pgbouncer", "-q", path], user=user, group=user, stderr=subprocess.DEVNULL) as process:
            pooled = urlunsplit(parts._replace(netloc=f"{parts.username}@127.0.0.1:{port}"))
            try:
                wait_until_listening(port)
                yield pooled
            finally:
                process.terminate()


def wait_until_listening(port: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.01)
    raise TimeoutError("PgBouncer does not listen")
