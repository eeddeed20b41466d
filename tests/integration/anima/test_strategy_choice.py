"""Which strategy serves on which pgvector."""

import pytest

from anima.database import Session
from anima.errors import DatabaseUnfit, InvalidInput
from anima.settings import Settings
from anima.strategy import BATCHED, FRONTIER, NAIVE
from anima.strategy_choice import chosen_strategy, vector_version_for

SET_VERSION = "UPDATE pg_extension SET extversion = $1 WHERE extname = 'vector'"
DEFAULT = Settings().strategy


async def test_frontier_serves_unless_another_is_named(database_url: str) -> None:
    assert await chosen_strategy(DEFAULT, database_url, is_named=False) == (FRONTIER, "")
    assert await chosen_strategy("naive", database_url, is_named=True) == (NAIVE, "")


async def test_a_database_without_the_extension_gets_the_newest_that_the_server_has(empty_url: str) -> None:
    assert await chosen_strategy(DEFAULT, empty_url, is_named=False) == (FRONTIER, "")


async def test_with_an_older_pgvector_batched_serves_and_it_is_said(database_url: str, session: Session) -> None:
    await session.connection.execute(SET_VERSION, "0.8.3")
    served = await chosen_strategy(DEFAULT, database_url, is_named=False)
    assert served.strategy is BATCHED
    assert "needs pgvector 0.8.4, and the database has 0.8.3" in served.remark
    assert await chosen_strategy("batched", database_url, is_named=True) == (BATCHED, "")


async def test_where_frontier_is_named_nothing_else_serves(database_url: str, session: Session) -> None:
    await session.connection.execute(SET_VERSION, "0.8.3")
    with pytest.raises(DatabaseUnfit, match=r"0\.8\.4, and the database has 0\.8\.3.* or serve by --strategy batched"):
        await chosen_strategy("frontier", database_url, is_named=True)


async def test_a_strategy_that_is_not_there_is_named_with_those_that_are(database_url: str) -> None:
    with pytest.raises(InvalidInput, match=r"no strategy 'fastest'.*frontier"):
        await chosen_strategy("fastest", database_url, is_named=True)


def test_versions_are_compared_as_numbers() -> None:
    assert vector_version_for(BATCHED) == "0"
    assert vector_version_for(FRONTIER) == "0.8.4"
