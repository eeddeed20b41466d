"""What meets when several clients meet: each fault is found by a script that states it, at once."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import ExitStack
from random import Random
from uuid import uuid4

import pytest

from anima.model import NewMemory
from anima.strategy import BATCHED, FRONTIER, Strategy
from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets.anima.concurrency import stated
from harness.measuring.targets.anima.concurrency.drawing import Drawing
from harness.measuring.targets.anima.concurrency.interleavings import (
    Client,
    ConnectionLoss,
    FailWork,
    Interleaving,
    Load,
    program,
)
from harness.measuring.targets.anima.concurrency.pursuit import Pursuit, chase, open_pursuit, shortest
from harness.measuring.targets.anima.concurrency.stated import (
    CONSOLIDATE,
    MARKED,
    NEAR,
    STATED,
    A,
    add,
    ask,
    stated_for,
)
from harness.measuring.targets.anima.equivalence.choices import MET_CONCURRENTLY
from tests.foreign import execute
from tests.property.concurrency.race_faults import ALL, NOT_FOUND, RaceFault

SCRIPTS = 12


def catalyst(content: str) -> NewMemory:
    return NewMemory(content=content, is_catalyst=True)


@pytest.fixture(scope="module")
def pursuits(runner: asyncio.Runner, server: Server) -> Generator[Callable[[str], Pursuit]]:
    """One for each strategy, in schemas of its own."""
    name = f"races_{uuid4().hex}"
    url = runner.run(server.create_database(name))
    runner.run(execute(url, f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'"))
    with ExitStack() as stack:
        opened: dict[str, Pursuit] = {}

        def pursuit_of(strategy: str) -> Pursuit:
            if strategy not in opened:
                opened[strategy] = stack.enter_context(open_pursuit(url, [strategy], runner))
            return opened[strategy]

        yield pursuit_of
    runner.run(server.drop_database(name))


@pytest.mark.slow
@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_a_stated_script_finds_the_fault_and_nothing_without_it(
    fault: RaceFault, monkeypatch: pytest.MonkeyPatch, pursuits: Callable[[str], Pursuit]
) -> None:
    pursuit = pursuits(fault.strategy)
    (stage,) = pursuit.stages
    assert str(pursuit.repeat(stage, fault.stated)) == "None"
    fault.plant(monkeypatch)
    assert fault.evidence in str(pursuit.repeat(stage, fault.stated))


RIGHT = {
    "a catalyst that takes in another": (
        "batched",
        Interleaving(setup=(catalyst(A), catalyst(NEAR)), clients=(Client(steps=(ask(A),)),)),
    ),
    "detection that ended with its client": (
        "fix2",
        Interleaving(clients=(Client(steps=(add(MARKED),), disruption=ConnectionLoss(loss="killed")),)),
    ),
    "work that failed for as long as it was tried": (
        "batched",
        Interleaving(setup=(add(A), add(NEAR), FailWork(kind="consolidation")), clients=(Client(steps=(ask(A),)),)),
    ),
    "a memory merged between a query's search and its access": (
        "batched",
        Interleaving(
            setup=(add(A), add(NEAR)),
            clients=(Client(steps=(ask(A, "c"),)), Client(steps=(CONSOLIDATE,))),
            turns=(*[0] * 2, *[1] * 40),
        ),
    ),
    "no one is held": (
        "frontier",
        Interleaving(setup=(Load(content=A),), clients=(Client(steps=(ask(A, "c"), add(NEAR))),) * 4, turns=None),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_what_is_allowed_is_not_complained_of(name: str, pursuits: Callable[[str], Pursuit]) -> None:
    strategy, interleaving = RIGHT[name]
    pursuit = pursuits(strategy)
    assert str(pursuit.repeat(pursuit.stages[0], interleaving)) == "None"


@pytest.mark.parametrize("strategy", [BATCHED, FRONTIER], ids=["batched", "frontier"])
def test_a_seed_draws_the_same_script_again_and_another_seed_another(strategy: Strategy) -> None:
    first, again, other = (Drawing(Random(seed), strategy, 3).interleaving() for seed in ("1.0", "1.0", "2.0"))
    assert first == again != other
    assert 2 <= len(first.clients) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("fault", NOT_FOUND, ids=lambda fault: fault.name)
def test_what_is_said_not_to_be_found_is_not(
    fault: RaceFault, monkeypatch: pytest.MonkeyPatch, pursuits: Callable[[str], Pursuit]
) -> None:
    """Else the documentation says too little of what is compared."""
    pursuit = pursuits(fault.strategy)
    fault.plant(monkeypatch)
    assert str(pursuit.repeat(pursuit.stages[0], fault.stated)) == "None"


def test_what_is_found_is_shortened_to_what_shows_it_and_printed_as_what_makes_it(
    monkeypatch: pytest.MonkeyPatch, pursuits: Callable[[str], Pursuit]
) -> None:
    fault = next(each for each in ALL if each.name == "a retry after a lost commit")
    pursuit = pursuits(fault.strategy)
    more = fault.stated.model_copy(
        update={
            "setup": (add(stated.OTHER), *fault.stated.setup),
            "clients": (*fault.stated.clients, Client(steps=(ask(stated.OTHER),))),
        }
    )
    fault.plant(monkeypatch)
    race = pursuit.repeat(pursuit.stages[0], more)
    assert race
    shown = program(shortest(pursuit, race).interleaving)
    names = {name: getattr(stated, name) for name in ("Client", "ConnectionLoss", "Interleaving", "Load")}
    assert eval(shown, names | {"Query": type(ask("1"))}) == fault.stated


def test_every_search_begins_with_what_is_stated(
    monkeypatch: pytest.MonkeyPatch, pursuits: Callable[[str], Pursuit]
) -> None:
    fault = next(each for each in ALL if each.name == "a threshold on a rounded similarity")
    pursuit = pursuits(fault.strategy)
    fault.plant(monkeypatch)
    race = chase(pursuit, examples=1, first_seed=0, first=[(fault.strategy, fault.stated)])
    assert race is not None
    assert race.interleaving == fault.stated


def test_what_is_stated_is_met_by_those_strategies_alone_that_are_verified() -> None:
    assert {each.name for each in (*ALL, *NOT_FOUND)} == set(STATED)
    met = list(stated_for(MET_CONCURRENTLY))
    assert {strategy for strategy, _ in met} == set(MET_CONCURRENTLY)
    assert all((each.strategy, each.interleaving) in met for each in STATED.values())
    assert not list(stated_for(["fix5"]))


@pytest.mark.parametrize("strategy", MET_CONCURRENTLY)
def test_nothing_is_found_in_what_is_stated(strategy: str, pursuits: Callable[[str], Pursuit]) -> None:
    first = list(stated_for([strategy]))
    assert str(chase(pursuits(strategy), examples=len(first), first_seed=0, first=first)) == "None"


@pytest.mark.slow
@pytest.mark.parametrize("strategy", MET_CONCURRENTLY)
def test_strategies_leave_what_some_serial_order_leaves(strategy: str, pursuits: Callable[[str], Pursuit]) -> None:
    assert str(chase(pursuits(strategy), examples=SCRIPTS, first_seed=0)) == "None"


@pytest.mark.parametrize("same_time", [True, False])
def test_a_script_prints_as_the_program_that_makes_it(same_time: bool) -> None:
    script = Interleaving(clients=(Client(steps=(ask("1"),)),), turns=None, same_time=same_time)
    assert eval(program(script), {"Interleaving": Interleaving, "Client": Client, "Query": type(ask("1"))}) == script
