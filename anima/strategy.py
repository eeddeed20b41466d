"""Strategy: one frozen value with a choice on each axis, and the presets that have names.

A strategy decides which statements run and when, never what an operation means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from anima.errors import InvalidInput

SearchName = Literal["exact", "exact_once", "hnsw", "augmented"]
AccessRecordName = Literal["per_memory", "batched", "apart"]
AssociationName = Literal["per_pair", "batched", "logged"]
ConsolidationName = Literal["full_scan", "nearest", "augmented", "off"]
BootstrapName = Literal["three_queries", "one_query", "ranked"]
RecallName = Literal["stepwise", "one_statement"]
Placement = Literal["inline", "background"]


@dataclass(frozen=True, slots=True)
class Strategy:
    """A choice on each axis.

    The guide counts the schema and the pool among its fixes, so they belong to what is compared.
    """

    name: str
    """The name by which it is chosen and reported."""
    description: str
    """What it does, in a line."""
    recall: RecallName
    """Whether a query's search and records are one statement, or one after the other."""
    search: SearchName
    """How memories are found and ranked."""
    access_records: AccessRecordName
    """How accesses are recorded."""
    associations: AssociationName
    """How pairs are recorded."""
    association_placement: Placement
    """When pairs are recorded: before the response, or in the background."""
    consolidation: ConsolidationName
    """How a semantic duplicate is found."""
    consolidation_placement: Placement
    """When it is looked for: before the response, or in the background."""
    bootstrap: BootstrapName
    """How the memories for a new conversation are loaded."""
    bootstrap_records_access: bool
    """Whether a bootstrap counts as an access of what it returns."""
    embedding_cache: bool
    """Whether embeddings are kept in the process."""
    embedding_batches: bool
    """Whether texts that are asked for at the same time go to the provider's server in one call."""
    schema_version: int
    """The number of the migration that its database is at."""
    pool_size: int
    """How many connections a process has at most."""
    acquire_timeout_s: float
    """How many seconds a request waits for a connection."""


NAIVE: Final = Strategy(
    name="naive",
    description="the system before the fixes: a statement per memory and per pair, a full scan per add, no cache",
    recall="stepwise",
    search="exact",
    access_records="per_memory",
    associations="per_pair",
    association_placement="inline",
    consolidation="full_scan",
    consolidation_placement="inline",
    bootstrap="three_queries",
    bootstrap_records_access=True,
    embedding_cache=False,
    embedding_batches=False,
    schema_version=6,
    pool_size=20,
    acquire_timeout_s=2.0,
)

FIXES: Final[tuple[tuple[str, Mapping[str, Any]], ...]] = (
    ("embedding cache", {"embedding_cache": True}),
    ("batched co-occurrence", {"associations": "batched"}),
    (
        "batched access records and promotions, co-occurrence after the response",
        {"access_records": "batched", "association_placement": "background"},
    ),
    (
        "consolidation and catalyst detection after the response, by nearest neighbour",
        {"consolidation": "nearest", "consolidation_placement": "background"},
    ),
    ("bootstrap in one read-only query", {"bootstrap": "one_query", "bootstrap_records_access": False}),
    ("indexes for bootstrap", {"schema_version": 7}),
    ("pool of 50 connections", {"pool_size": 50, "acquire_timeout_s": 5.0}),
)
"""The guide's fixes 1 to 7, in its order: what each changes. Fixes 8 and 9 watch and test; they change no statement."""


def cumulative(count: int) -> Strategy:
    """`naive` with the first `count` fixes."""
    strategy = NAIVE
    for _, changes in FIXES[:count]:
        strategy = replace(strategy, **changes)
    return replace(strategy, name=f"fix{count}", description=f"fixes 1 to {count}: adds {FIXES[count - 1][0]}")


def alone(number: int) -> Strategy:
    """`naive` with one fix."""
    title, changes = FIXES[number - 1]
    return replace(NAIVE, name=f"only-fix{number}", description=f"fix {number} alone: {title}", **changes)


NUMBERS: Final = range(1, len(FIXES) + 1)
BATCHED: Final = replace(
    cumulative(len(FIXES)),
    name="batched",
    description="all fixes of the guide, indexes that no access has to write, each distance computed once",
    search="exact_once",
    schema_version=8,
)
APPROXIMATE: Final = replace(
    BATCHED,
    name="approximate",
    description="batched, with candidates from the HNSW index: held to a recall, not to equality",
    search="hnsw",
)
FRONTIER: Final = replace(
    BATCHED,
    name="frontier",
    description="one statement per operation, what changes often apart, an index that orders by structural weight",
    recall="one_statement",
    search="augmented",
    access_records="apart",
    associations="logged",
    association_placement="inline",
    consolidation="augmented",
    bootstrap="ranked",
    embedding_batches=True,
    schema_version=21,
)

PRESETS: Final[Mapping[str, Strategy]] = {
    strategy.name: strategy
    for strategy in (NAIVE, *map(cumulative, NUMBERS), BATCHED, APPROXIMATE, FRONTIER, *map(alone, NUMBERS))
}


def preset(name: str) -> Strategy:
    """Raises `InvalidInput` that lists the presets."""
    if name not in PRESETS:
        raise InvalidInput(f"There is no strategy {name!r}. Strategies: {', '.join(PRESETS)}.")
    return PRESETS[name]
