"""`harness verify`: whether strategies agree with each other and with the contract, and on which script they do not."""

import asyncio
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, AsyncExitStack, contextmanager, nullcontext
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
SERVER_SETTINGS: Final = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Nothing here outlives the command, so nothing needs to survive a power failure."""


def verify(
    *, strategies: str | None, more: tuple[str, ...], examples: int, seconds: float, seed: int, database_url: str | None
) -> ExitCode:
    if more and not strategies and not any(each.endswith(SCENARIO) for each in more):
        raise click.UsageError(f"Name strategies after --strategies; {' '.join(more)!r} stands alone.")
    refuse_other_targets(names := [*(strategies or "").replace(",", " ").split(), *more])
    target = AnimaTarget()
    compared = target.comparable(names)
    with (
        as_interrupts(),
        asyncio.Runner() as runner,
        click.progressbar(length=examples, label="scripts", file=sys.stderr) as progress,
        told_of(lambda: progress.pos, examples, seconds),
        database(runner, database_url) as url,
    ):
        verification = target.verify(
            runner, url, compared, examples=examples, seconds=seconds, seed=seed, report=progress.update
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


def told_of(
    done: Callable[[], int], examples: int, seconds: float, clock: Callable[[], float] = perf_counter
) -> AbstractContextManager[None]:
    """Where there is no terminal for the bar, lines."""
    begun = clock()

    def share() -> float:
        return min(max(done() / examples, (clock() - begun) / seconds if seconds else 1.0), 1.0)

    if sys.stderr.isatty():
        return nullcontext()
    return Waiting(partial(click.echo, err=True), lambda: f"{done()} of {examples} scripts", share, clock).over()


def replay(strategies: Sequence[str], *steps: object, database_url: str | None = None) -> None:
    """What a printed script calls: performs the steps, and exits with 1 if the strategies disagree on them, else 0."""
    with asyncio.Runner() as runner, database(runner, database_url) as url:
        counterexample = AnimaTarget().replay(runner, url, strategies, steps)
    click.echo(counterexample.message if counterexample else f"{', '.join(strategies)}: no disagreement.")
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
    """What is wrong, and a program that shows it."""
    kinds = sorted({step.partition("(")[0] for step in counterexample.steps})
    arguments = "".join(f"    {argument},\n" for argument in (repr([counterexample.variant]), *counterexample.steps))
    return (
        f"{counterexample.message}\n\nThis script shows it:\n\n"
        f"from harness.measuring.targets.anima.equivalence.steps import {', '.join(kinds)}\n"
        "from harness.commands.verify import replay\n\n"
        f"replay(\n{arguments})"
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
