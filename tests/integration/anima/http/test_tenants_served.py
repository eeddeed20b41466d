"""Tenants from the prompt to the answer: keys are made, schemas migrated, and a server tells each of its own alone."""

from dataclasses import replace

import httpx
import pytest
from click.testing import CliRunner

from anima.__main__ import anima as command
from anima.commands import prepare_schemas
from anima.errors import DatabaseUnfit
from anima.http.api_keys import new_key
from anima.http.guards import GuardSettings
from tests.service import options_for, served
from tests.tenancy import TENANTS


def invoke(*arguments: str) -> str:
    done = CliRunner().invoke(command, arguments, catch_exceptions=False, standalone_mode=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_server_tells_each_tenant_of_its_own_memories(empty_url: str) -> None:
    options = [option for tenant in TENANTS for option in ("--tenant", tenant)]
    assert "tenant acme\napplied  001_memories" in invoke("migrate", "--database-url", empty_url, *options)
    assert invoke("migrate", "--database-url", empty_url, *options).count("the schema is up to date") == len(TENANTS)
    assert "pending" not in invoke("migrate", "--status", "--database-url", empty_url, "--tenant", "acme")

    made = {tenant: new_key("laptop", tenant) for tenant in TENANTS}
    guards = GuardSettings(dict(key.entry.split(":") for key in made.values()))
    with (
        served(replace(options_for(empty_url), guards=guards)) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}") as client,
    ):
        acme, globex = ({"Authorization": f"Bearer {key.key}"} for key in made.values())
        asked = {"content": "a walk by the river"}
        assert client.post("/api/v1/memories/add", json=asked, headers=acme).status_code == 201
        assert client.post("/api/v1/memories/add", json=asked).status_code == 401
        question = {"query": "a walk by the river"}
        found = [
            client.post("/api/v1/memories/query", json=question, headers=headers).json()["data"]["count"]
            for headers in (acme, globex)
        ]
        assert found == [1, 0]
        assert client.get("/ready").status_code == 200
        assert "anima_cache_entries 2.0" in client.get("/metrics", headers=globex).text
        assert client.get("/api/v1/meta/cache-stats", headers=globex).json()["cache"]["size"] == 1


async def test_a_tenant_whose_schema_is_behind_is_named(tenants_url: str) -> None:
    assert await prepare_schemas(tenants_url, TENANTS, 14, migrating=False)
    with pytest.raises(DatabaseUnfit, match="search_path"):
        await prepare_schemas(tenants_url, ("initech",), 14, migrating=False)
    await prepare_schemas(tenants_url, ("initech",), 4, migrating=True)
    with pytest.raises(DatabaseUnfit, match=r"The schema of the tenant initech lacks .*anima migrate --tenant initech"):
        await prepare_schemas(tenants_url, ("initech",), 14, migrating=False)


def test_a_key_of_a_tenant_says_so_in_its_entry() -> None:
    assert "  acme/laptop:" in invoke("new-key", "laptop", "--tenant", "acme")
