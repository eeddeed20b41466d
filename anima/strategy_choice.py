"""Says which strategy serves: the one named, else the default where the database's pgvector is new enough for it."""

from typing import NamedTuple

from anima.connections import connected
from anima.errors import DatabaseUnfit
from anima.migrations import all_migrations, comparable
from anima.strategy import BATCHED, Strategy, preset

# Where the extension is not in the database yet, a migration takes the newest that the server has.
VECTOR_VERSION = """
    SELECT coalesce(installed_version, default_version) FROM pg_available_extensions WHERE name = 'vector'
"""


class StrategyChoice(NamedTuple):
    """A strategy, and what there is to say of it."""

    strategy: Strategy
    remark: str = ""


async def chosen_strategy(name: str, url: str, *, is_named: bool) -> StrategyChoice:
    """Raises `InvalidInput`, and `DatabaseUnfit` where one that is named needs a newer pgvector."""
    strategy = preset(name)
    async with connected(url) as connection:
        version: str = await connection.fetchval(VECTOR_VERSION) or "0"
    needed = vector_version_for(strategy)
    if comparable(version) >= comparable(needed):
        return StrategyChoice(strategy)
    lack = (
        f"The strategy {name} needs pgvector {needed}, and the database has {version}. Install a newer one on its "
        "server and run ALTER EXTENSION vector UPDATE"
    )
    if is_named:
        raise DatabaseUnfit(f"{lack}, or serve by --strategy {BATCHED.name}.")
    return StrategyChoice(BATCHED, f"{lack}. Until then {BATCHED.name} serves.")


def vector_version_for(strategy: Strategy) -> str:
    """The oldest pgvector that all migrations of the strategy work with."""
    needed = (each.pgvector_version for each in all_migrations() if each.version <= strategy.schema_version)
    return max(needed, key=comparable)
