"""What is observed of a server's sessions needs some of them."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from harness.measuring.profilers.protocol import ProfiledOperation
from harness.measuring.servers.provisioners.protocol import Server

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
