"""What meets when several clients meet: each fault is found by a script that states it, at once."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import ExitStack
from uuid import uuid4

import pytest

from harness.measuring.servers.provisioners.protocol import Server
from harness.measuring.targets.anima.concurrency.interleavings import Client, Interleaving, program
from harness.measuring.targets.anima.concurrency.pursuit import Pursuit, chase, open_pursuit, shortest
from harness.measuring.targets.anima.equivalence.choices import MET_CONCURRENTLY
from tests.foreign import execute
from tests.property.concurrency import race_faults
from tests.property.concurrency.race_faults import ALL, NOT_FOUND, RaceFault, ask

SCRIPTS = 40


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


@pytest.mark.parametrize("fault", ALL, ids=lambda fault: fault.name)
def test_a_stated_script_finds_the_fault_and_nothing_without_it(
    fault: RaceFault, monkeypatch: pytest.MonkeyPatch, pursuits: Callable[[str], Pursuit]
) -> None:
    pursuit = pursuits(fault.strategy)
    (stage,) = pursuit.stages
    assert str(pursuit.repeat(stage, fault.stated)) == "None"
    fault.plant(monkeypatch)
    assert fault.evidence in str(pursuit.repeat(stage, fault.stated))


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
            "setup": (race_faults.add(race_faults.OTHER), *fault.stated.setup),
            "clients": (*fault.stated.clients, Client(steps=(ask(race_faults.OTHER),))),
        }
    )
    fault.plant(monkeypatch)
    race = pursuit.repeat(pursuit.stages[0], more)
    assert race
    shown = program(shortest(pursuit, race).interleaving)
    names = {name: getattr(race_faults, name) for name in ("Client", "ConnectionLoss", "Interleaving", "Load")}
    assert eval(shown, names | {"Query": type(ask("1"))}) == fault.stated


@pytest.mark.slow
@pytest.mark.parametrize("strategy", MET_CONCURRENTLY)
def test_strategies_leave_what_some_serial_order_leaves(strategy: str, pursuits: Callable[[str], Pursuit]) -> None:
    assert str(chase(pursuits(strategy), examples=SCRIPTS, first_seed=0)) == "None"


@pytest.mark.parametrize("same_time", [True, False])
def test_a_script_prints_as_the_program_that_makes_it(same_time: bool) -> None:
    script = Interleaving(clients=(Client(steps=(ask("1"),)),), turns=None, same_time=same_time)
    assert eval(program(script), {"Interleaving": Interleaving, "Client": Client, "Query": type(ask("1"))}) == script
