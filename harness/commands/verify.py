"""`harness verify`: whether strategies agree with each other and with the contract, and on which script they do not."""

import asyncio
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import Final

import click

from harness.errors import ExitCode, UsageError
from harness.measuring import scenario_files
from harness.measuring.servers.provisioners.embedded import EmbeddedProvisioner
from harness.measuring.targets.anima.target import AnimaTarget
from harness.measuring.targets.protocol import Counterexample, Verification
from harness.measuring.waiting import Waiting
from harness.signals import as_interrupts

SCENARIO: Final = ".toml"
SERVER_SETTINGS: Final = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "deadlock_timeout": "20ms",
}
"""Nothing here outlives the command, so nothing needs to survive a power failure; and a deadlock is noticed at once."""


EXAMPLES: Final = 100
ONE_BY_ONE_S: Final = 60.0
CONCURRENT_S: Final = 120.0
NO_END: Final = 1_000_000_000
"""More scripts than there is time for."""
CLIENTS: Final = 3


@dataclass(frozen=True, slots=True)
class Effort:
    """After so many scripts, or so many seconds, a verification begins no other."""

    examples: int
    seconds: float
    seed: int


def verify(
    *,
    strategies: str | None,
    more: tuple[str, ...],
    concurrent: bool,
    clients: int | None,
    examples: int | None,
    seconds: float | None,
    seed: int,
    database_url: str | None,
) -> ExitCode:
    if more and not strategies and not any(each.endswith(SCENARIO) for each in more):
        raise click.UsageError(f"Name strategies after --strategies; {' '.join(more)!r} stands alone.")
    refuse_other_targets(names := [*(strategies or "").replace(",", " ").split(), *more])
    if concurrent:
        effort = Effort(examples or NO_END, CONCURRENT_S if seconds is None else seconds, seed)
        return verify_concurrent(names, effort, clients or CLIENTS, database_url)
    if clients:
        raise click.UsageError("--clients is for --concurrent: without it, one client does one thing after the other.")
    effort = Effort(examples or EXAMPLES, ONE_BY_ONE_S if seconds is None else seconds, seed)
    return verify_one_by_one(names, effort, database_url)


def verify_one_by_one(names: Sequence[str], effort: Effort, database_url: str | None) -> ExitCode:
    target = AnimaTarget()
    compared = target.comparable(names)
    with (
        as_interrupts(),
        asyncio.Runner() as runner,
        click.progressbar(length=effort.examples, label="scripts", file=sys.stderr) as progress,
        lines_of_progress(lambda: progress.pos, effort),
        database(runner, database_url) as url,
    ):
        verification = target.verify(
            runner,
            url,
            compared,
            examples=effort.examples,
            seconds=effort.seconds,
            seed=effort.seed,
            report=progress.update,
        )
    click.echo(summary(verification, compared))
    return ExitCode.FAIL if verification.counterexample else ExitCode.PASS


def verify_concurrent(names: Sequence[str], effort: Effort, clients: int, database_url: str | None) -> ExitCode:
    target = AnimaTarget()
    compared = target.concurrently_comparable(names)
    done = [0]

    def count(more: int) -> None:
        done[0] += more

    with (
        as_interrupts(),
        asyncio.Runner() as runner,
        lines_of_progress(lambda: done[0], effort),
        database(runner, database_url) as url,
    ):
        verification = target.verify_concurrent(
            runner,
            url,
            compared,
            examples=effort.examples,
            seconds=effort.seconds,
            seed=effort.seed,
            clients=clients,
            report=count,
        )
    click.echo(summary(verification, compared))
    return ExitCode.FAIL if verification.counterexample else ExitCode.PASS


def refuse_other_targets(names: Sequence[str]) -> None:
    """Raises `UsageError` for a scenario: its target has nothing that its answers could be held against."""
    for name in names:
        if name.endswith(SCENARIO):
            target = scenario_files.load_scenario(name).target
            raise UsageError(
                f"{name} measures {target}, and only anima's strategies have a verification: "
                "name these, without a scenario. What answers of your own have to be, say with `expect`."
            )


def lines_of_progress(
    done: Callable[[], int], effort: Effort, clock: Callable[[], float] = perf_counter
) -> AbstractContextManager[None]:
    """Where there is no terminal for a bar, lines; how many scripts there are is said where it is known."""
    begun = clock()

    def share() -> float:
        return min(max(done() / effort.examples, (clock() - begun) / effort.seconds if effort.seconds else 1.0), 1.0)

    def step() -> str:
        return f"{done()} scripts" if effort.examples == NO_END else f"{done()} of {effort.examples} scripts"

    if sys.stderr.isatty() and effort.examples != NO_END:
        return nullcontext()
    return Waiting(partial(click.echo, err=True), step, share, clock).over()


def replay(strategies: Sequence[str], *steps: object, database_url: str | None = None) -> None:
    """Is what a printed script calls: performs the steps, and exits with 1 if the strategies disagree, else 0."""
    with asyncio.Runner() as runner, database(runner, database_url) as url:
        counterexample = AnimaTarget().replay(runner, url, strategies, steps)
    click.echo(counterexample.message if counterexample else f"{', '.join(strategies)}: no disagreement.")
    sys.exit(ExitCode.FAIL if counterexample else ExitCode.PASS)


def replay_concurrent(strategy: str, interleaving: object, database_url: str | None = None) -> None:
    """Is what a printed script of several clients calls: exits with 1 if it shows the fault again, else 0."""
    with asyncio.Runner() as runner, database(runner, database_url) as url:
        counterexample = AnimaTarget().replay_concurrent(runner, url, strategy, interleaving)
    click.echo(counterexample.message if counterexample else f"{strategy}: some serial order of them leaves the same.")
    sys.exit(ExitCode.FAIL if counterexample else ExitCode.PASS)


def summary(verification: Verification, strategies: Sequence[str]) -> str:
    if verification.counterexample:
        return disagreement(verification.counterexample)
    met = "\n".join(f"{count:8}  {case}" for case, count in sorted(verification.met.items()))
    return (
        f"{', '.join(strategies)}: no disagreement in {verification.scripts} scripts.\n"
        f"How many of them met the cases that are easily got wrong:\n{met}"
    )


def disagreement(counterexample: Counterexample) -> str:
    """Gives what is wrong, and a program that shows it."""
    if counterexample.is_concurrent:
        return race_shown(counterexample)
    kinds = sorted({step.partition("(")[0] for step in counterexample.steps})
    arguments = "".join(f"    {argument},\n" for argument in (repr([counterexample.variant]), *counterexample.steps))
    return (
        f"{counterexample.message}\n\nThis script shows it:\n\n"
        f"from harness.measuring.targets.anima.equivalence.steps import {', '.join(kinds)}\n"
        "from harness.commands.verify import replay\n\n"
        f"replay(\n{arguments})"
    )


def race_shown(counterexample: Counterexample) -> str:
    (interleaving,) = counterexample.steps
    return (
        f"{counterexample.message}\n\nThis script shows it:\n\n"
        "from harness.measuring.targets.anima.concurrency.interleavings import (\n"
        f"    {', '.join(counterexample.names)},\n)\n"
        "from harness.commands.verify import replay_concurrent\n\n"
        f"replay_concurrent({counterexample.variant!r}, {interleaving})"
    )


@contextmanager
def database(runner: asyncio.Runner, url: str | None) -> Generator[str]:
    """The user's, or one of a server that is gone when the block ends."""
    if url:
        yield url
        return
    stack = AsyncExitStack()
    try:
        server = runner.run(stack.enter_async_context(EmbeddedProvisioner().start(SERVER_SETTINGS)))
        yield runner.run(server.create_database("verification"))
    finally:
        runner.run(stack.aclose())
