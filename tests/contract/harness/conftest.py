"""What contract suites of the harness share: every provisioner, with the server that it needs."""

import asyncio
from collections.abc import Generator

import pytest

from harness.measuring.servers.provisioners import PROVISIONERS
from harness.measuring.servers.provisioners._shared.databases import PostgresServer
from harness.measuring.servers.provisioners.external import URL_VARIABLE
from tests.foreign import make_tenant

MARKS = {
    "testcontainers": [pytest.mark.needs("engine")],
    "patroni": [pytest.mark.needs("etcd", "patroni"), pytest.mark.nightly],  # It takes 20 s to miss a leader.
}


@pytest.fixture(scope="module")
def url_of_a_tenant(runner: asyncio.Runner, foreign: PostgresServer) -> Generator[None]:
    """The server that somebody else runs is in the environment, where the provisioner `external` looks for it."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(URL_VARIABLE, runner.run(make_tenant(foreign)))
        yield


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=MARKS.get(name, ())) for name in PROVISIONERS],
)
def provisioner_name(request: pytest.FixtureRequest) -> str:
    name = str(request.param)
    if name == "external":
        request.getfixturevalue("url_of_a_tenant")
    return name
