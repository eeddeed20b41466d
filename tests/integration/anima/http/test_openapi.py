"""The OpenAPI document is true: what it allows is served, what it forbids is refused, and answers are as it says."""

import asyncio
from collections.abc import Generator
from typing import Any

import pytest
import schemathesis
from hypothesis import given, settings
from schemathesis import GenerationMode

from harness.measuring.servers.provisioners.protocol import Server
from tests.service import options_for, served

WITH_INPUT = {
    ("/api/v1/memories/add", "POST"),
    ("/api/v1/memories/query", "POST"),
    ("/api/v1/memories/bootstrap", "GET"),
}
WITHOUT_INPUT = {
    ("/api/v1/meta/cache-stats", "GET"),
    ("/api/v1/meta/metrics", "GET"),
    ("/health", "GET"),
    ("/ready", "GET"),
}
EXAMPLES = settings().max_examples // 5


@pytest.fixture(scope="module")
def document(runner: asyncio.Runner, server: Server, template: str) -> Generator[Any]:
    url = runner.run(server.clone_database(template, "openapi"))
    with served(options_for(url)) as port:
        yield schemathesis.openapi.from_url(f"http://127.0.0.1:{port}/openapi.json")
    runner.run(server.drop_database("openapi"))


def check(operation: Any, mode: GenerationMode, examples: int) -> None:
    """All that schemathesis knows to check, on drawn requests."""

    @settings(max_examples=examples)
    @given(operation.as_strategy(mode))
    def is_true(case: Any) -> None:
        case.call_and_validate()

    is_true()


def test_every_route_that_it_names_is_checked(document: Any) -> None:
    named = {(found.ok().path, found.ok().method.upper()) for found in document.get_all_operations()}
    assert named == WITH_INPUT | WITHOUT_INPUT


@pytest.mark.slow
@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("route", sorted(WITH_INPUT))
def test_input_is_served_or_refused_as_the_document_says(
    document: Any, route: tuple[str, str], mode: GenerationMode
) -> None:
    path, method = route
    check(document[path][method], mode, EXAMPLES)


@pytest.mark.parametrize("route", sorted(WITHOUT_INPUT))
def test_answers_are_as_the_document_says(document: Any, route: tuple[str, str]) -> None:
    path, method = route
    check(document[path][method], GenerationMode.POSITIVE, 1)
