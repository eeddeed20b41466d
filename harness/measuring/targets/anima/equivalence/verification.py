"""Looks for a script on which strategies do not agree, or performs a given one: `harness verify`, and the tests."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Collection, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Final

from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.configuration import set_hypothesis_home_dir
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from anima.migrations import migrate
from anima.strategy import Strategy
from harness.measuring.targets.anima.equivalence.choices import comparable
from harness.measuring.targets.anima.equivalence.machine import CounterexampleSearch, Script
from harness.measuring.targets.anima.equivalence.schemas import own_schemas
from harness.measuring.targets.anima.equivalence.sources import ScriptClock
from harness.measuring.targets.anima.equivalence.steps import ScriptStep
from harness.measuring.targets.anima.equivalence.subjects import Subject, open_subject
from harness.measuring.targets.anima.equivalence.trial import Disagreement

BATCH_EXAMPLES: Final = 10
"""After so many scripts the search looks at the time and goes on from another seed.

Hypothesis varies what it has drawn, so one seed gives scripts that are much alike.
"""

SETTINGS: Final = settings(
    database=None,
    deadline=None,
    phases=[Phase.generate],  # What it finds is shortened below, step by step, which takes seconds instead of minutes.
    print_blob=False,
    report_multiple_bugs=False,
    stateful_step_count=20,
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much),
    verbosity=Verbosity.quiet,
)


@contextmanager
def open_search(url: str, names: Sequence[str], runner: asyncio.Runner) -> Generator[CounterexampleSearch]:
    """Strategies by name, each in a schema of its own in this database.

    Raises `InvalidInput`, `DatabaseUnavailable` and `MigrationFailed`.
    """
    strategies = comparable(names)
    consolidates = all(strategy.consolidation != "off" for strategy in strategies)
    clock = ScriptClock()
    stack = AsyncExitStack()
    try:
        subjects = runner.run(stack.enter_async_context(_open_subjects(url, strategies, clock)))
        yield CounterexampleSearch(subjects, clock, runner, consolidates=consolidates)
    finally:
        runner.run(stack.aclose())


def look(
    search: CounterexampleSearch,
    *,
    examples: int,
    seconds: float = math.inf,
    first_seed: int,
    report: Callable[[int], None] = lambda _new: None,
) -> Disagreement | None:
    """Performs so many scripts, or as many as fit into the time; returns the disagreement if there is one.

    `report` is told how many more scripts are done.
    """
    ends_at = time.monotonic() + seconds
    with _no_files_left():
        for batch, done in enumerate(range(0, examples, BATCH_EXAMPLES)):
            size = min(BATCH_EXAMPLES, examples - done)
            _look_once(search, settings(SETTINGS, max_examples=size), f"{first_seed}.{batch}")
            report(size)
            if search.disagreement or time.monotonic() >= ends_at:
                break
    return search.disagreement


def _look_once(looking: CounterexampleSearch, chosen: settings, seed_text: str) -> None:
    class BoundScript(Script):
        search = looking

    try:
        run_state_machine_as_test(seed(seed_text)(BoundScript), settings=chosen)
    except (Disagreement, Flaky):
        if looking.disagreement is None:
            raise


def shortened(search: CounterexampleSearch, found: Disagreement) -> Disagreement:
    """Leaves out steps, large pieces first, as long as the strategy still disagrees."""
    alone = replace(search, subjects=[subject for subject in search.subjects if subject.name == found.strategy])
    size = len(found.steps) // 2
    while size:
        start = 0
        while start < len(found.steps):
            again = replay(alone, found.steps[:start] + found.steps[start + size :])
            found, start = (again, start) if again else (found, start + size)
        size //= 2
    return found


def replay(search: CounterexampleSearch, steps: Sequence[ScriptStep]) -> Disagreement | None:
    """Performs one script."""
    trial = search.start()
    try:
        for step in steps:
            search.perform(trial, step)
    except Disagreement as disagreement:
        return disagreement
    return None


@contextmanager
def _no_files_left() -> Generator[None]:
    """Hypothesis keeps a cache beside whoever calls it, even when it is told to use no database."""
    with TemporaryDirectory() as home:
        set_hypothesis_home_dir(home)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)


@asynccontextmanager
async def _open_subjects(
    url: str, strategies: Sequence[Strategy], clock: ScriptClock
) -> AsyncGenerator[Collection[Subject]]:
    async with own_schemas(url, len(strategies)) as urls, AsyncExitStack() as stack:
        for own_url, strategy in zip(urls, strategies, strict=True):
            await migrate(own_url, to=strategy.schema_version)
        yield [
            await stack.enter_async_context(open_subject(own_url, strategy, clock))
            for own_url, strategy in zip(urls, strategies, strict=True)
        ]
