"""What contract suites of the harness share: every provisioner, with the server that it needs."""

import asyncio
from collections.abc import Generator
from contextlib import AsyncExitStack

import pytest

from harness.measuring.servers.provisioners import PROVISIONERS
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from harness.measuring.servers.provisioners.external import URL_VARIABLE
from tests.foreign import foreign_server, make_tenant


@pytest.fixture(scope="module")
def foreign(runner: asyncio.Runner) -> Generator[PostgresServer]:
    """A server that somebody else runs, which the provisioner `external` uses through the environment's URL."""
    stack = AsyncExitStack()
    server = runner.run(stack.enter_async_context(foreign_server()))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(URL_VARIABLE, runner.run(make_tenant(server)))
        yield server
    runner.run(stack.aclose())


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[pytest.mark.needs("engine")] * (name == "testcontainers")) for name in PROVISIONERS
    ],
)
def provisioner_name(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name == "external":
        request.getfixturevalue("foreign")
    return name
