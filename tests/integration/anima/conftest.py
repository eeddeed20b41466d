"""What tests of the whole memory system share: the strategies that an outcome is checked for, and a connection."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest

from anima.database import Session
from anima.strategy import Strategy
from harness.measuring.servers.provisioners.protocol import Server
from tests.memories import PLACED, session_on


@pytest.fixture(params=["naive", "naive-background", "batched", "batched-inline", "frontier"])
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return PLACED[request.param]


@pytest.fixture
async def empty_url(server: Server) -> AsyncGenerator[str]:
    """A database that no migration has touched."""
    name = f"test_{uuid4().hex}"
    yield await server.create_database(name)
    await server.drop_database(name)


@pytest.fixture
async def session(database_url: str) -> AsyncGenerator[Session]:
    """A connection of the test's own, beside those of the systems under test."""
    async with session_on(database_url) as session:
        yield session
