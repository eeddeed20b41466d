"""Which planted faults `harness verify --concurrent` finds by its own search, after how many scripts and how long.

    python benchmarks/concurrency_faults.py [SECONDS [NAME…]]

Prints the table of docs/equivalence.md. Each fault is planted alone, and looked for on a strategy that has what it is
in, until it is found or the seconds are over (120, as the command has it).
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.commands.verify import CONCURRENT_S, SERVER_SETTINGS
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.targets.anima.concurrency.pursuit import Race, chase, open_pursuit
from tests.property.concurrency.race_faults import ALL, NOT_FOUND, RaceFault


def row(fault: RaceFault, url: str, runner: asyncio.Runner, seconds: float) -> str:
    with pytest.MonkeyPatch.context() as planted:
        fault.plant(planted)
        with open_pursuit(url, [fault.strategy], runner) as pursuit:
            began = monotonic()
            race = chase(pursuit, seconds=seconds, first_seed=0)
            elapsed_s = monotonic() - began
    cells = (fault.name, fault.origin, fault.strategy, evidence(fault, race), pursuit.scripts, f"{elapsed_s:.0f}")
    return f"| {' | '.join(map(str, cells))} |"


def evidence(fault: RaceFault, race: Race | None) -> str:
    """The words that the fault is expected to be found by, or the first complaint where it was found by others."""
    if race is None:
        return "not found"
    return fault.evidence if fault.evidence in str(race) else race.complaints[0].partition("\n")[0].replace("|", "\\|")


def main(seconds: float, names: list[str]) -> None:
    stack = AsyncExitStack()
    with asyncio.Runner() as runner:
        try:
            server = runner.run(stack.enter_async_context(EmbeddedProvisioner().start(SERVER_SETTINGS)))
            url = runner.run(server.create_database("faults"))
            print("| fault | from | planted in | found by | scripts | seconds |\n| --- | --- | --- | --- | --- | --- |")
            for fault in (*ALL, *NOT_FOUND):
                if not names or any(name in fault.name for name in names):
                    print(row(fault, url, runner, seconds), flush=True)
        finally:
            runner.run(stack.aclose())


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else CONCURRENT_S, sys.argv[2:])
