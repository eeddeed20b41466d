"""The service in the test's own process, and a client that speaks to it without a socket."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx

from anima.assembly import Anima
from anima.http.app import application


@asynccontextmanager
async def client_of(anima: Anima) -> AsyncGenerator[httpx.AsyncClient]:
    """An unexpected failure becomes the answer that a client would get, not an exception of the test."""
    transport = httpx.ASGITransport(application(anima), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
        yield client
