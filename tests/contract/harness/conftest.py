"""What contract suites of the harness share: every provisioner, with the server that it needs."""

import asyncio
from collections.abc import Generator

import pytest

from harness.measuring.servers.provisioners import PROVISIONERS
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from harness.measuring.servers.provisioners.external import URL_VARIABLE
from tests.foreign import make_tenant


@pytest.fixture(scope="module")
def url_of_a_tenant(runner: asyncio.Runner, foreign: PostgresServer) -> Generator[None]:
    """The server that somebody else runs is in the environment, where the provisioner `external` looks for it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(URL_VARIABLE, runner.run(make_tenant(foreign)))
        yield


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(name, marks=[pytest.mark.needs("engine")] * (name == "testcontainers")) for name in PROVISIONERS
    ],
)
def provisioner_name(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name == "external":
        request.getfixturevalue("url_of_a_tenant")
    return name
