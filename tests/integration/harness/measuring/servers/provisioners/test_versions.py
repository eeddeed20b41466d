"""Embedded versions of PostgreSQL, as old and as new as they can be had."""

import pytest

from anima.migrations import all_migrations, migrate
from harness.measuring.servers.provisioners import provisioner
from harness.measuring.servers.provisioners.protocol import DatabaseSettings
from tests.foreign import value

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("postgres_major", [16, 18])
async def test_each_is_migrated_and_cloned(postgres_major: int) -> None:
    settings = DatabaseSettings(provisioner="embedded", postgres_major=postgres_major)
    async with (await provisioner(settings)).start({"fsync": "off"}) as server:
        await migrate(await server.create_database("template"))
        clone = await server.clone_database("template", "clone")
        assert await value(clone, "SELECT max(version) FROM anima_migrations") == all_migrations()[-1].version
        assert server.facts.postgres_version.startswith(f"{postgres_major}.")
        assert not server.facts.lacks
