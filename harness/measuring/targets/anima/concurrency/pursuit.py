"""Performs many interleavings, or a given one, and shortens the one that shows a fault."""

import asyncio
import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain, count
from random import Random
from typing import Final

from anima.migrations import migrate
from harness.measuring.targets.anima.concurrency.drawing import Drawing
from harness.measuring.targets.anima.concurrency.embedder import vector_complaints
from harness.measuring.targets.anima.concurrency.interleavings import (
    Client,
    Interleaving,
    kinds,
    program,
)
from harness.measuring.targets.anima.concurrency.ledger import Ledger
from harness.measuring.targets.anima.concurrency.outcomes import FinalTables, Meeting
from harness.measuring.targets.anima.concurrency.serial_orders import order_complaints
from harness.measuring.targets.anima.concurrency.stage import SteeredSubject, open_stage
from harness.measuring.targets.anima.equivalence.choices import comparable
from harness.measuring.targets.anima.equivalence.schemas import own_schemas
from harness.measuring.targets.protocol import Counterexample

COMPLAINTS_SHOWN: Final = 10
REPEATS_OF_FREE: Final = 10
FREE_EVERY: Final = 10
"""One in so many lets the machine decide who goes next, with more clients who do more."""
SHORTENING_S: Final = 30.0
"""After this what is left is shown, though it might be shorter."""


@dataclass(frozen=True, slots=True)
class Race:
    """Says what a strategy does wrong when clients meet like this."""

    strategy: str
    interleaving: Interleaving
    complaints: tuple[str, ...]

    def __str__(self) -> str:
        shown = "\n  ".join(self.complaints[:COMPLAINTS_SHOWN])
        return f"{self.strategy} does what no serial order of its clients would:\n  {shown}"


@dataclass(slots=True)
class Pursuit:
    """Strategies in turn, and how far it has come."""

    stages: Sequence[SteeredSubject]
    runner: asyncio.Runner
    scripts: int = 0
    met: Counter[str] = field(default_factory=Counter[str])

    def perform(self, stage: SteeredSubject, interleaving: Interleaving) -> Race | None:
        self.scripts += 1
        complaints = self.runner.run(judged(stage, interleaving, self.met))
        return Race(stage.strategy.name, interleaving, complaints) if complaints else None

    def repeat(self, stage: SteeredSubject, interleaving: Interleaving) -> Race | None:
        """Several times where the machine decides who goes next, since it may decide otherwise."""
        for _ in range(1 if interleaving.turns is not None else REPEATS_OF_FREE):
            if race := self.perform(stage, interleaving):
                return race
        return None

    def stage_of(self, name: str) -> SteeredSubject:
        return next(stage for stage in self.stages if stage.strategy.name == name)


async def judged(stage: SteeredSubject, interleaving: Interleaving, met: Counter[str]) -> tuple[str, ...]:
    outcome, tables = await stage.perform(interleaving)
    met.update(set(cases_met(interleaving, outcome, tables)))
    return tuple(complaints(stage, outcome, tables))


def complaints(stage: SteeredSubject, outcome: Meeting, tables: FinalTables) -> Iterator[str]:
    strategy = stage.strategy
    yield from outcome.complaints
    yield from vector_complaints(stage.embeddings)
    yield from Ledger(strategy, outcome, tables).complaints()
    yield from order_complaints(
        outcome,
        tables,
        in_background=strategy.consolidation_placement == "background",
        consolidates=strategy.consolidation != "off",
    )


def counterexample_of(race: Race) -> Counterexample:
    shown = program(race.interleaving)
    return Counterexample(race.strategy, str(race), (shown,), is_concurrent=True, names=tuple(kinds(race.interleaving)))


def cases_met(interleaving: Interleaving, outcome: Meeting, tables: FinalTables) -> Iterator[str]:
    """Says which situations came about: a pursuit that never meets one says nothing about it."""
    if any(stored.merged_into for stored in tables.memories.values()):
        yield "a merge of a written memory"
    if tables.promotions:
        yield "a promotion"
    if tables.pairs:
        yield "a pair"
    if outcome.has_lost_clients:
        yield "a client that was killed"
    elif any(client.disruption for client in interleaving.clients):
        yield "a connection that was lost"
    if any(performed.is_refused for performed in outcome.performed):
        yield "an embedding that failed"
    if any(performed.answer is None and not performed.is_refused for performed in outcome.performed):
        yield "an operation of which nobody knows whether it took effect"


@contextmanager
def open_pursuit(url: str, names: Sequence[str], runner: asyncio.Runner) -> Generator[Pursuit]:
    """Strategies by name, each in a schema of its own in this database.

    Raises `InvalidInput`, `DatabaseUnavailable` and `MigrationFailed`.
    """
    strategies = [comparable([name])[0] for name in names]
    stack = AsyncExitStack()

    async def opened() -> list[SteeredSubject]:
        urls = await stack.enter_async_context(own_schemas(url, len(strategies)))
        for own_url, strategy in zip(urls, strategies, strict=True):
            await migrate(own_url, to=strategy.schema_version)
        return [
            await stack.enter_async_context(open_stage(own_url, strategy))
            for own_url, strategy in zip(urls, strategies, strict=True)
        ]

    try:
        with _quiet():
            yield Pursuit(runner.run(opened()), runner)
    finally:
        runner.run(stack.aclose())


@contextmanager
def _quiet() -> Generator[None]:
    """What the memory system warns of, such as a lost connection, is done to it on purpose."""
    logger, silent = logging.getLogger("anima"), logging.NullHandler()
    logger.addHandler(silent)
    propagates, logger.propagate = logger.propagate, False
    try:
        yield
    finally:
        logger.propagate = propagates
        logger.removeHandler(silent)


def chase(
    pursuit: Pursuit,
    *,
    examples: float = math.inf,
    seconds: float = math.inf,
    first_seed: int,
    clients: int = 3,
    first: Iterable[tuple[str, Interleaving]] = (),
    report: Callable[[int], None] = lambda _new: None,
) -> Race | None:
    """Performs so many, or as many as fit into the time; returns what is wrong if anything is.

    `first` are performed by these strategies before any is drawn. `report` is told how many more are done.
    """
    ends_at = time.monotonic() + seconds
    stated = ((pursuit.stage_of(name), interleaving) for name, interleaving in first)
    for done, (stage, interleaving) in enumerate(chain(stated, _drawn(pursuit, first_seed, clients))):
        if done >= examples or (done > 0 and time.monotonic() >= ends_at):
            break
        if race := pursuit.perform(stage, interleaving):
            return race
        report(1)
    return None


def _drawn(pursuit: Pursuit, first_seed: int, clients: int) -> Iterator[tuple[SteeredSubject, Interleaving]]:
    """Without an end, and the same again for the same seed."""
    for number in count():
        round_, place = divmod(number, len(pursuit.stages))
        stage = pursuit.stages[place]
        drawing = Drawing(Random(f"{first_seed}.{number}"), stage.strategy, clients)  # noqa: S311 -- a draw that is to be repeated
        yield stage, drawing.free() if round_ % FREE_EVERY == FREE_EVERY - 1 else drawing.interleaving()


def shortest(pursuit: Pursuit, race: Race) -> Race:
    """Leaves out what can be left out, as long as the strategy still does something wrong."""
    stage, ends_at = pursuit.stage_of(race.strategy), time.monotonic() + SHORTENING_S
    is_shorter = True
    while is_shorter:
        is_shorter = False
        for shorter in shortenings(race.interleaving):
            if time.monotonic() >= ends_at:
                return race
            if again := pursuit.repeat(stage, shorter):
                race, is_shorter = again, True
                break
    return race


def shortenings(interleaving: Interleaving) -> Iterator[Interleaving]:
    """Each with something less, the largest pieces first."""
    clients, setup, turns = interleaving.clients, interleaving.setup, interleaving.turns
    if len(clients) > 1:
        for number in range(len(clients)):
            yield _with(interleaving, clients=clients[:number] + clients[number + 1 :])
    for number in range(len(setup)):
        yield _with(interleaving, setup=setup[:number] + setup[number + 1 :])
    for number, client in enumerate(clients):
        for less in _shorter_clients(client):
            yield _with(interleaving, clients=(*clients[:number], less, *clients[number + 1 :]))
    if interleaving.same_time:
        yield _with(interleaving, same_time=False)
    if turns:
        for size in dict.fromkeys((len(turns), len(turns) // 2, len(turns) // 4, 1)):
            if size:
                yield _with(interleaving, turns=turns[: len(turns) - size])


def _shorter_clients(client: Client) -> Iterator[Client]:
    if client.disruption:
        yield client.model_copy(update={"disruption": None})
    for number in range(len(client.steps)):
        yield client.model_copy(update={"steps": client.steps[:number] + client.steps[number + 1 :]})


def _with(interleaving: Interleaving, **changes: object) -> Interleaving:
    return interleaving.model_copy(update=changes)
