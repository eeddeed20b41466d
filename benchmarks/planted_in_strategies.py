"""Says by what `harness verify` and `verify --concurrent` find each planted fault, and how soon.

    python benchmarks/planted_in_strategies.py                 the tables of docs/equivalence.md, in the default times
    python benchmarks/planted_in_strategies.py SECONDS [NAME…]

Each fault is planted alone, on a strategy that has what it is in.
"""

import asyncio
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.commands.verify import CONCURRENT_S, EXAMPLES, ONE_BY_ONE_S, SERVER_SETTINGS
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.targets.anima.concurrency.pursuit import Race, chase, open_pursuit
from harness.measuring.targets.anima.concurrency.stated import stated_for
from harness.measuring.targets.anima.equivalence.verification import look, open_search
from tests.property.concurrency.race_faults import ALL, NOT_FOUND, RaceFault
from tests.property.equivalence import frontier_faults
from tests.property.equivalence.faults import FAULTS, Fault

ONE_BY_ONE: Final = [
    *((fault, "batched") for fault in FAULTS),
    *((fault, "frontier") for fault in frontier_faults.FAULTS),
]


def row_of_one_client(fault: Fault, strategy: str, url: str, runner: asyncio.Runner, seconds: float) -> str:
    with pytest.MonkeyPatch.context() as planted:
        fault.plant(planted)
        with open_search(url, [strategy], runner) as search:
            began = monotonic()
            found = look(search, examples=EXAMPLES, seconds=seconds, first_seed=0)
            after = f"{search.scripts} scripts, {monotonic() - began:.1f} s"
    evidence = "not found" if found is None else fault.evidence if fault.evidence in str(found) else str(found)
    return f"| {' | '.join((fault.name, strategy, evidence.partition(chr(10))[0], after))} |"


def row_of_several(fault: RaceFault, url: str, runner: asyncio.Runner, seconds: float) -> str:
    with pytest.MonkeyPatch.context() as planted:
        fault.plant(planted)
        with open_pursuit(url, [fault.strategy], runner) as pursuit:
            began = monotonic()
            found = chase(pursuit, seconds=seconds, first_seed=0, first=stated_for([fault.strategy]))
            after = f"{pursuit.scripts} scripts, {monotonic() - began:.1f} s"
    return f"| {' | '.join((fault.name, fault.origin, fault.strategy, evidence(fault, found), after))} |"


def evidence(fault: RaceFault, race: Race | None) -> str:
    """The words that the fault is expected to be found by, or the first complaint where it was found by others."""
    if race is None:
        return "not found"
    expected = bool(fault.evidence) and fault.evidence in str(race)
    return fault.evidence if expected else race.complaints[0].partition("\n")[0].replace("|", "\\|")


def table(heads: tuple[str, ...]) -> None:
    print(f"\n| {' | '.join(heads)} |\n|{' --- |' * len(heads)}", flush=True)


def main(seconds: float | None, is_asked: Callable[[str], bool]) -> None:
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            server = runner.run(stack.enter_async_context(EmbeddedProvisioner().start(SERVER_SETTINGS)))
            url = runner.run(server.create_database("faults"))
            table(("fault", "planted in", "found by", "after"))
            for fault, strategy in ONE_BY_ONE:
                if is_asked(fault.name):
                    print(row_of_one_client(fault, strategy, url, runner, seconds or ONE_BY_ONE_S), flush=True)
            table(("fault", "from", "planted in", "found by", "after"))
            for each in (*ALL, *NOT_FOUND):
                if is_asked(each.name):
                    print(row_of_several(each, url, runner, seconds or CONCURRENT_S), flush=True)
        finally:
            runner.run(stack.aclose())


if __name__ == "__main__":
    names = sys.argv[2:]
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else None,
        lambda name: not names or any(each in name for each in names),
    )
