"""What tests of the service share: one of the default strategy, unless a test names another, and a client of it."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from anima.assembly import Anima
from anima.settings import Settings
from anima.strategy import Strategy, preset
from tests.memories import opened
from tests.service import client_of


@pytest.fixture
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return preset(getattr(request, "param", Settings().strategy))


@pytest.fixture
async def anima(database_url: str, strategy: Strategy) -> AsyncGenerator[Anima]:
    async with opened(database_url, strategy) as anima:
        yield anima


@pytest.fixture
async def client(anima: Anima) -> AsyncGenerator[httpx.AsyncClient]:
    async with client_of(anima) as client:
        yield client
