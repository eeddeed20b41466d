"""Databases that no migration has touched."""

from collections.abc import AsyncGenerator
from uuid import uuid4

import pytest

from harness.measuring.servers.provisioners.protocol import Server


@pytest.fixture
async def empty_url(server: Server) -> AsyncGenerator[str]:
    name = f"test_{uuid4().hex}"
    yield await server.create_database(name)
    await server.drop_database(name)
