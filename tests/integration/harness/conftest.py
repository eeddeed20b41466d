"""What is observed of a server's sessions needs some of them."""

import os
import pwd
import shutil
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

import asyncpg
import pytest

from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.servers.provisioners._shared.databases import free_port
from harness.measuring.servers.provisioners.protocol import Server
from tests.needs import counting_postgresql

Sessions = tuple["asyncpg.Connection[asyncpg.Record]", ...]


@pytest.fixture
def subject(server: Server, database_url: str, tmp_path: Path) -> ProfiledOperation:
    return ProfiledOperation(
        "naive", "query", 1, tmp_path, server.admin_url, urlsplit(database_url).path.removeprefix("/")
    )


@pytest.fixture
async def sessions(subject: ProfiledOperation) -> AsyncGenerator[Sessions]:
    """Two of the database, and one of the administrator, who watches them."""
    async with AsyncExitStack() as stack:
        opened = [await asyncpg.connect(url) for url in (subject.database_url, subject.database_url, subject.admin_url)]
        for session in opened:
            stack.push_async_callback(session.close)
        yield tuple(opened)


@pytest.fixture(scope="module")
def counting_url() -> Iterator[str]:
    """A server that counts statements, from the distribution; for tests that need pg_stat_statements."""
    found = counting_postgresql()
    assert found is not None
    # PostgreSQL refuses to run as root.
    account = pwd.getpwnam("postgres") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    with TemporaryDirectory(prefix="counting-", dir="/tmp") as name:
        directory = Path(name)
        os.chown(directory, account.pw_uid, account.pw_gid)
        port = free_port("127.0.0.1")

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [found / "bin" / program, f"--pgdata={directory}/data", *arguments],
                user=account.pw_uid,
                group=account.pw_gid,
                cwd=directory,
                check=True,
                stdout=subprocess.DEVNULL,
                timeout=60,
            )

        run("initdb", "--username=postgres", "--auth=trust", "--no-sync")
        settings = "-c shared_preload_libraries=pg_stat_statements -c listen_addresses=127.0.0.1 -c fsync=off"
        run("pg_ctl", "start", "--wait", f"--log={directory}/log", "-o", f"{settings} -p {port} -k {directory}")
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            run("pg_ctl", "stop", "--wait", "--mode=immediate")
            shutil.rmtree(directory / "data")
