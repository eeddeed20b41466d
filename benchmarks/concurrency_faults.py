"""Which planted faults the judge of `harness verify --concurrent` sees, and after how many drawn scripts it meets them.

    python benchmarks/concurrency_faults.py                  by the scripts that state them: docs/equivalence.md
    python benchmarks/concurrency_faults.py SECONDS [NAME…]  by its own search too, for so long each

Each fault is planted alone, on a strategy that has what it is in.
"""

import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.commands.verify import SERVER_SETTINGS
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.targets.anima.concurrency.pursuit import Pursuit, Race, chase, open_pursuit
from tests.property.concurrency.race_faults import ALL, NOT_FOUND, RaceFault


def row(fault: RaceFault, url: str, runner: asyncio.Runner, seconds: float) -> str:
    with pytest.MonkeyPatch.context() as planted:
        fault.plant(planted)
        with open_pursuit(url, [fault.strategy], runner) as pursuit:
            stated = evidence(fault, pursuit.repeat(pursuit.stages[0], fault.stated))
            drawn = searched(fault, pursuit, seconds) if seconds else ()
    return f"| {' | '.join((fault.name, fault.origin, fault.strategy, stated, *drawn))} |"


def searched(fault: RaceFault, pursuit: Pursuit, seconds: float) -> tuple[str, str]:
    """By what the search found it, in which script and how long."""
    began, before = monotonic(), pursuit.scripts
    found = evidence(fault, chase(pursuit, seconds=seconds, first_seed=0))
    return found, f"{pursuit.scripts - before} scripts, {monotonic() - began:.0f} s"


def evidence(fault: RaceFault, race: Race | None) -> str:
    """The words that the fault is expected to be found by, or the first complaint where it was found by others."""
    if race is None:
        return "not found"
    return fault.evidence if fault.evidence in str(race) else race.complaints[0].partition("\n")[0].replace("|", "\\|")


def main(seconds: float, names: list[str]) -> None:
    heads = ("fault", "from", "planted in", "found by", *(("drawn scripts find", "after") if seconds else ()))
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
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.0, sys.argv[2:])
