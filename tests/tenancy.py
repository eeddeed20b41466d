"""A service with tenants in the test's own process, each of whom asks with a key."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from anima.assembly import Anima, open_tenants
from anima.database import Observer, PoolSettings, ignore
from anima.embeddings.protocol import EmbeddingSettings
from anima.http.api_keys import new_key
from anima.http.app import application
from anima.http.callers import Callers
from anima.http.guards import GuardSettings, guarding
from anima.strategy import Strategy
from anima.tenants import schemas_of

TENANTS = ("acme", "globex")


@asynccontextmanager
async def tenants_on(
    url: str, strategy: Strategy, *, pool: int = 2, observer: Observer = ignore, tenants: Sequence[str] = TENANTS
) -> AsyncGenerator[Mapping[str, Anima]]:
    """Their systems, which share few connections, so that these change hands."""
    embeddings = EmbeddingSettings(provider="hashing")
    settings = PoolSettings(pool, acquire_timeout_s=60)
    async with open_tenants(url, strategy, embeddings, schemas_of(tenants), observer=observer, pool=settings) as animas:
        yield animas


@dataclass(frozen=True, slots=True)
class TenantService:
    """A client, and the header of each tenant's key."""

    client: httpx.AsyncClient
    headers: Mapping[str, Mapping[str, str]]


@asynccontextmanager
async def service_for(animas: Mapping[str, Anima]) -> AsyncGenerator[TenantService]:
    made = {tenant: new_key("key", tenant) for tenant in animas}
    digests = dict(key.entry.split(":") for key in made.values())
    headers = {tenant: {"Authorization": f"Bearer {key.key}"} for tenant, key in made.items()}
    async with guarding(GuardSettings(digests)) as middleware:
        transport = httpx.ASGITransport(application(Callers(animas), middleware=middleware))
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield TenantService(client, headers)
