"""What tests of every kind share: a PostgreSQL of the session's own, and how hard Hypothesis searches."""

import asyncio
import os
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from anima.migrations import migrate
from anima.tenants import make_schema, url_of
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.servers.provisioners.protocol import Server
from tests.followed import Followed
from tests.foreign import foreign_server
from tests.needs import require
from tests.tenancy import TENANTS

THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""A test's data need not survive a power failure."""

# A property may reach PostgreSQL, and the machine may be busy: no test is wrong for the time that it takes.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", UNTIMED, max_examples=50)
settings.register_profile("ci", UNTIMED, max_examples=200, derandomize=True, print_blob=True)
settings.register_profile("nightly", UNTIMED, max_examples=5_000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for name in marker.args:
            require(name)


@pytest.fixture(scope="session")
def runner() -> Generator[asyncio.Runner]:
    """Runs what fixtures of a wider scope await, apart from the loop of any test."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        yield runner


@pytest.fixture(scope="session")
def server(runner: asyncio.Runner) -> Generator[Server]:
    """One for each worker of pytest-xdist."""
    stack = AsyncExitStack()
    yield runner.run(stack.enter_async_context(EmbeddedProvisioner().start(THROWAWAY_SETTINGS)))
    runner.run(stack.aclose())


@pytest.fixture(scope="session")
def foreign(runner: asyncio.Runner) -> Generator[PostgresServer]:
    """A server that somebody else runs, one for each worker: each test makes a role of its own there."""
    stack = AsyncExitStack()
    yield runner.run(stack.enter_async_context(foreign_server()))
    runner.run(stack.aclose())


@pytest.fixture(scope="session")
def followed(runner: asyncio.Runner) -> Generator[Followed]:
    """A server with a standby, one for each worker."""
    stack = AsyncExitStack()
    started = EmbeddedProvisioner(standbys=1).start(THROWAWAY_SETTINGS)
    pair = Followed(runner.run(stack.enter_async_context(started)))
    runner.run(pair.prepare())
    yield pair
    runner.run(stack.aclose())


@pytest.fixture(scope="session")
def template(runner: asyncio.Runner, server: Server) -> str:
    """The name of a database at the newest migration. Clone it; a connection to it would block all who do."""
    runner.run(migrate(runner.run(server.create_database("template_migrated"))))
    return "template_migrated"


@pytest.fixture(scope="session")
def tenants_template(runner: asyncio.Runner, server: Server) -> str:
    """The name of a database with a schema at the newest migration for each tenant."""
    url = runner.run(server.create_database("template_tenants"))
    for tenant in TENANTS:
        runner.run(make_schema(url, tenant))
        runner.run(migrate(url_of(url, tenant)))
    return "template_tenants"


@pytest.fixture
async def tenants_url(server: Server, tenants_template: str) -> AsyncGenerator[str]:
    name = f"test_{uuid4().hex}"
    yield await server.clone_database(tenants_template, name)
    await server.drop_database(name)


@pytest.fixture
async def database_url(server: Server, template: str) -> AsyncGenerator[str]:
    """A database at the newest migration, for one test alone."""
    name = f"test_{uuid4().hex}"
    yield await server.clone_database(template, name)
    await server.drop_database(name)
