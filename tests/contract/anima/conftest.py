"""A session for a contract test: one database for all of them, and a transaction for each, undone at its end."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from anima.database import Session
from harness.measuring.servers.provisioners.protocol import Server
from tests.memories import session_on


@pytest.fixture(scope="session")
def contract_url(runner: asyncio.Runner, server: Server, template: str) -> str:
    return runner.run(server.clone_database(template, "contract_anima"))


@pytest.fixture
async def session(contract_url: str) -> AsyncGenerator[Session]:
    async with session_on(contract_url) as session:
        transaction = session.connection.transaction()
        await transaction.start()
        yield session
        await transaction.rollback()
