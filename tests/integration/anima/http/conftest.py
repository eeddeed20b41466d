"""What tests of the service share: one on the strategy with all fixes, and a client of it."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from anima.assembly import Anima
from anima.strategy import BATCHED
from tests.memories import opened
from tests.service import client_of


@pytest.fixture
async def anima(database_url: str) -> AsyncGenerator[Anima]:
    async with opened(database_url, BATCHED) as anima:
        yield anima


@pytest.fixture
async def client(anima: Anima) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(anima) as client:
        yield client
