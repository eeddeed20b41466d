"""What is planted is there, in the size that its name says."""

import asyncio
from time import perf_counter
from types import MappingProxyType
from typing import cast

import asyncpg
import pytest

from harness.measuring.operations import Request
from harness.measuring.targets.null import NullTarget, OpenNull
from harness.measuring.targets.planted import FAULTS, OpenPlanted, PlantedTarget
from harness.measuring.targets.protocol import Response

REQUEST = Request("query", MappingProxyType({}))


class Connection:
    def __init__(self) -> None:
        self.sent: list[str] = []

    async def execute(self, statement: str) -> None:
        self.sent.append(statement)


class Slow(OpenNull):
    """Takes a hundredth of a second."""

    async def perform(self, request: Request) -> Response:
        await asyncio.sleep(0.01)
        return await super().perform(request)


def planted(fault: str, connection: Connection | None = None) -> OpenPlanted:
    return OpenPlanted(Slow(), FAULTS[fault], cast("asyncpg.Connection", connection), asyncio.Lock())


@pytest.mark.parametrize(
    ("fault", "statement"), [("statement-more", "SELECT 1"), ("statement-20-ms", "SELECT pg_sleep(0.02)")]
)
async def test_an_added_statement_is_sent_and_counted(fault: str, statement: str) -> None:
    connection = Connection()
    response = await planted(fault, connection).perform(REQUEST)
    assert connection.sent == [statement]
    assert (response.statements, response.round_trips) == (1, 1)


async def test_without_a_fault_nothing_is_added() -> None:
    assert await planted("unchanged").perform(REQUEST) == await OpenNull().perform(REQUEST)


@pytest.mark.parametrize(("fault", "share"), [("slower-5", 0.05), ("slower-10", 0.1), ("slower-20", 0.2)])
async def test_a_slowdown_is_a_share_of_what_the_request_took(fault: str, share: float) -> None:
    started = perf_counter()
    await planted(fault).perform(REQUEST)
    # The request itself takes a hundredth of a second at least, however busy the machine is.
    assert perf_counter() - started >= 0.01 * (1 + share)


def test_every_fault_is_a_variant_at_the_schema_of_the_healthy_one() -> None:
    target = PlantedTarget(NullTarget(), "null")
    assert list(target.variants()) == list(FAULTS)
    assert {target.schema_version(variant) for variant in target.variants()} == {0}
    assert target.embedder is None
