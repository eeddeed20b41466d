"""Says by what `harness verify --concurrent` finds each planted fault, and how soon: the table of docs/equivalence.md.

    python benchmarks/concurrency_faults.py              all of them, for two minutes each at most
    python benchmarks/concurrency_faults.py SECONDS [NAME…]

Each fault is planted alone, on a strategy that has what it is in.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Final

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.commands.verify import SERVER_SETTINGS
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.targets.anima.concurrency.pursuit import Race, chase, open_pursuit
from harness.measuring.targets.anima.concurrency.stated import stated_for
from tests.property.concurrency.race_faults import ALL, NOT_FOUND, RaceFault

VERIFY_S: Final = 120.0
"""What `harness verify --concurrent` takes where nothing else is asked."""


def row(fault: RaceFault, url: str, runner: asyncio.Runner, seconds: float) -> str:
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


def main(seconds: float, names: list[str]) -> None:
    heads = ("fault", "from", "planted in", "found by", "after")
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            server = runner.run(stack.enter_async_context(EmbeddedProvisioner().start(SERVER_SETTINGS)))
            url = runner.run(server.create_database("faults"))
            print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
            for fault in (*ALL, *NOT_FOUND):
                if not names or any(name in fault.name for name in names):
                    print(row(fault, url, runner, seconds), flush=True)
        finally:
            runner.run(stack.aclose())


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else VERIFY_S, sys.argv[2:])
