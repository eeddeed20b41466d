"""A database for comparisons, and how hard each of them searches."""

import asyncio
from collections.abc import Generator
from uuid import uuid4

import pytest
from hypothesis import settings

from harness.measuring.servers.provisioners.protocol import Server

EXAMPLES_PER_SCRIPT = 5
"""A script is many operations, and each strategy has a search of its own."""


@pytest.fixture(scope="session")
def comparison_url(runner: asyncio.Runner, server: Server) -> Generator[str]:
    """Comparisons make schemas of their own in it, so all tests of a worker share it."""
    name = f"comparison_{uuid4().hex}"
    yield runner.run(server.create_database(name))
    runner.run(server.drop_database(name))


@pytest.fixture
def scripts_in_ci() -> int:
    return settings.get_profile("ci").max_examples // EXAMPLES_PER_SCRIPT


@pytest.fixture
def scripts() -> int:
    """As the current profile has it."""
    profile = settings.default
    assert profile, "tests/conftest.py loads one"
    return profile.max_examples // EXAMPLES_PER_SCRIPT


@pytest.fixture
def first_seed() -> int:
    """The same in CI each time; elsewhere another, so that each run looks where none has looked."""
    profile = settings.default
    assert profile, "tests/conftest.py loads one"
    return 0 if profile.derandomize else uuid4().int
