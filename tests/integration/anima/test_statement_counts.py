"""How many statements and round trips an operation takes: exact numbers of the contract, whatever the machine."""

from collections.abc import Sequence
from math import ceil

import pytest

from anima.assembly import Anima
from anima.associations.batched import PAIRS_PER_STATEMENT
from anima.database import Executed, Session
from anima.model import BootstrapRequest, NewMemory, Query
from anima.strategy import BATCHED, NAIVE, preset
from anima.work import AT_ONCE_MAX, Consolidate, current_kind
from tests.memories import EAST, NOON, leaning, opened, plant

NEW = NewMemory(content="an ordinary day")
QUERY = Query(query="east", limit=100, conversation_id="c")
VECTORS = {"east": EAST}
BOOTSTRAP = BootstrapRequest(conversation_id="c")

Seen = list[Executed]


def statements(seen: Seen) -> int:
    return sum(not executed.control for executed in seen)


def names(seen: Seen) -> list[str]:
    return [executed.name for executed in seen]


async def plant_many(session: Session, count: int, *, access_counts: Sequence[int] = ()) -> None:
    for number in range(count):
        await plant(session, access_count=access_counts[number] if number < len(access_counts) else 0)


async def query(anima: Anima, seen: Seen, request: Query = QUERY) -> None:
    seen.clear()
    await anima.memory.query(request)


async def test_naive_add_takes_six_statements_and_two_round_trips_for_its_transaction(database_url: str) -> None:
    seen: Seen = []
    async with opened(database_url, NAIVE, observer=seen.append) as anima:
        await anima.memory.add(NEW)
    assert names(seen) == [
        "begin",
        "add.count_duplicate",
        "consolidation.match",
        "add.insert_or_count",
        "commit",
        "catalyst.read",
        "catalyst.count_accesses",
        "catalyst.count_associations",
    ]


async def test_naive_add_of_what_is_known_stops_early(database_url: str) -> None:
    seen: Seen = []
    async with opened(database_url, NAIVE, {"near": EAST, "nearer": EAST}, observer=seen.append) as anima:
        await anima.memory.add(NewMemory(content="near"))
        seen.clear()
        await anima.memory.add(NewMemory(content="near"))
        assert names(seen) == ["begin", "add.count_duplicate", "commit"]
        seen.clear()
        await anima.memory.add(NewMemory(content="nearer"))
    assert names(seen) == ["begin", "add.count_duplicate", "consolidation.match", "merge.absorb", "commit"]


@pytest.mark.parametrize("results", [0, 1, 2, 20, 40])
async def test_naive_query_is_linear_in_results_and_in_pairs(database_url: str, session: Session, results: int) -> None:
    await plant_many(session, results)
    seen: Seen = []
    async with opened(database_url, NAIVE, VECTORS, observer=seen.append) as anima:
        await query(anima, seen)
        pairs = results * (results - 1) // 2
        assert len(seen) == statements(seen) == (2 + 2 * results + pairs if results else 1)
        await query(anima, seen, Query(query="east", limit=100))
        assert len(seen) == (2 + 2 * results if results else 1)


async def test_naive_query_of_twenty_takes_232_statements(database_url: str, session: Session) -> None:
    await plant_many(session, 20)
    seen: Seen = []
    async with opened(database_url, NAIVE, VECTORS, observer=seen.append) as anima:
        await query(anima, seen)
    assert statements(seen) == 232


@pytest.mark.parametrize("promotions", [1, 2, 20])
async def test_naive_query_takes_three_more_for_each_promotion(
    database_url: str, session: Session, promotions: int
) -> None:
    await plant_many(session, 20, access_counts=[4] * promotions)
    seen: Seen = []
    async with opened(database_url, NAIVE, VECTORS, observer=seen.append) as anima:
        await query(anima, seen)
    assert statements(seen) == 232 + 3 * promotions


@pytest.mark.parametrize("promotions", [0, 20])
@pytest.mark.parametrize(("results", "taken"), [(0, (1, 1)), (1, (2, 4)), (2, (3, 5)), (20, (3, 5)), (100, (3, 5))])
async def test_batched_query_takes_as_many_however_much_is_found_and_promoted(
    database_url: str, session: Session, promotions: int, results: int, taken: tuple[int, int]
) -> None:
    """Statements and round trips; one of each is the acceptance of the co-occurrence, where there is a pair."""
    await plant_many(session, results, access_counts=[4] * promotions)
    seen: Seen = []
    async with opened(database_url, BATCHED, VECTORS, observer=seen.append) as anima:
        await query(anima, seen)
    assert (statements(seen), len(seen)) == taken


async def test_batched_add_takes_two_statements_and_four_round_trips(database_url: str) -> None:
    seen: Seen = []
    async with opened(database_url, BATCHED, observer=seen.append) as anima:
        await anima.memory.add(NEW)
        assert names(seen) == ["begin", "add.insert_or_count", "queue", "commit"]
        seen.clear()
        await anima.memory.add(NEW)
    assert names(seen) == ["begin", "add.insert_or_count", "commit"]


@pytest.mark.parametrize("results", [2, 20, 46, 100])
async def test_batched_co_occurrence_takes_two_statements_and_one_per_thousand_pairs(
    database_url: str, session: Session, results: int
) -> None:
    await plant_many(session, results)
    handled: Seen = []

    def observe(executed: Executed) -> None:
        if current_kind.get() == "co_occurrence" and executed.name != "queue":
            handled.append(executed)

    async with opened(database_url, BATCHED, VECTORS, observer=observe) as anima:
        await anima.memory.query(QUERY)
        await anima.background.drain()
    pairs = results * (results - 1) // 2
    assert len(handled) == 2 + ceil(pairs / PAIRS_PER_STATEMENT)


async def test_consolidations_with_nothing_to_merge_share_all_round_trips_but_their_own_look(
    database_url: str, session: Session
) -> None:
    """One worker has to keep up with adds that wait for four round trips each, of any number of users."""
    seen: Seen = []
    memory_ids = [await plant(session, leaning(0.5, towards=1 + number)) for number in range(AT_ONCE_MAX)]
    async with opened(database_url, BATCHED, observer=seen.append) as anima:
        async with session.transaction():
            await anima.background.accept(session, [Consolidate(memory_id=each, at=NOON) for each in memory_ids])
        seen.clear()
        assert await anima.background.run_once("consolidation")
    looks = ["consolidation.match"] * AT_ONCE_MAX
    assert names(seen) == ["begin", "queue", "merge.read", *looks, "queue", "commit"]


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("naive", ((6, 8), (232, 232), (4, 4))),
        ("fix1", ((6, 8), (232, 232), (4, 4))),
        ("fix2", ((6, 8), (43, 43), (4, 4))),
        ("fix3", ((6, 8), (3, 5), (4, 4))),
        ("fix4", ((2, 4), (3, 5), (4, 4))),
        ("fix5", ((2, 4), (3, 5), (1, 1))),
        ("fix6", ((2, 4), (3, 5), (1, 1))),
        ("fix7", ((2, 4), (3, 5), (1, 1))),
        ("batched", ((2, 4), (3, 5), (1, 1))),
        ("approximate", ((2, 4), (3, 5), (1, 1))),
        ("frontier", ((1, 1), (1, 1), (1, 1))),
        ("only-fix1", ((6, 8), (232, 232), (4, 4))),
        ("only-fix2", ((6, 8), (43, 43), (4, 4))),
        ("only-fix3", ((6, 8), (3, 5), (4, 4))),
        ("only-fix4", ((2, 4), (232, 232), (4, 4))),
        ("only-fix5", ((6, 8), (232, 232), (1, 1))),
        ("only-fix6", ((6, 8), (232, 232), (4, 4))),
        ("only-fix7", ((6, 8), (232, 232), (4, 4))),
    ],
)
async def test_each_preset_takes_its_statements_and_round_trips(
    database_url: str, session: Session, name: str, taken: tuple[tuple[int, int], ...]
) -> None:
    """For an add of something new, a query of 20 results with a conversation, and a bootstrap."""
    await plant_many(session, 20)
    seen: Seen = []
    counted: list[tuple[int, int]] = []
    async with opened(database_url, preset(name), VECTORS, observer=seen.append) as anima:
        for operation in (anima.memory.query(QUERY), anima.memory.add(NEW), anima.memory.bootstrap(BOOTSTRAP)):
            seen.clear()
            await operation
            counted.append((statements(seen), len(seen)))
    query_of_twenty, add, bootstrap = counted
    assert (add, query_of_twenty, bootstrap) == taken
