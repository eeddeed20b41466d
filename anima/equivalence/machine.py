"""Draws scripts, such that the cases which are easily got wrong are met, and shrinks those that find something.

The rules only draw and hand on: what a step means, and whether all agree on it, is the trial's.
"""

import asyncio
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar, Final

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, RuleBasedStateMachine, initialize, multiple, rule

from anima.equivalence.cases import cases
from anima.equivalence.sources import Clock
from anima.equivalence.steps import Drain, Load, SoftDelete, Step, Wait
from anima.equivalence.subjects import Answer, Subject
from anima.equivalence.texts import DIRECTIONS, LABELS, NEARNESSES, SIMILARITIES, TOPICS, centre, variant
from anima.equivalence.trial import Disagreement, Trial
from anima.model import BootstrapRequest, NewMemory, Query, Tier

RAPID_ACCESS_WINDOW_S: Final = 600
REPEATS_MAX: Final = 6

HISTORIES: Final = (
    (Tier.ACTIVE, 0),
    (Tier.ACTIVE, 3),
    (Tier.ACTIVE, 4),
    (Tier.ACTIVE, 19),  # Its count would do for two promotions, but an access is one step.
    (Tier.THREAD, 5),
    (Tier.THREAD, 18),
    (Tier.THREAD, 19),
    (Tier.STABLE, 20),
    (Tier.NETWORK, 4),
)
"""Tiers and access counts, most of them an access or two before a promotion."""

PHIS: Final = (0.0, 1.0, 4.0, 4.85, 4.9, 4.95, 5.0)


def load(content: str, history: tuple[Tier, int], phi: float, *, is_catalyst: bool) -> Load:
    tier, access_count = history
    return Load(content=content, tier=tier, access_count=access_count, resonance_phi=phi, is_catalyst=is_catalyst)


def without_repeats(*parts: list[Load]) -> list[Load]:
    return list({load.content: load for load in chain(*parts)}.values())


centres = st.integers(0, TOPICS - 1).map(centre)
variants = st.builds(
    variant,
    st.integers(0, TOPICS - 1),
    st.sampled_from(NEARNESSES),
    st.integers(0, DIRECTIONS - 1),
    st.sampled_from(LABELS),
)
loads = st.builds(load, variants, st.sampled_from(HISTORIES), st.sampled_from(PHIS), is_catalyst=st.booleans())
# Hypothesis likes a list short; three of them are seldom short together.
some_loads = st.lists(loads, max_size=10)
corpora = st.builds(without_repeats, some_loads, some_loads, some_loads)
conversations = st.sampled_from(("first", "second"))
pauses = st.none() | st.sampled_from((Drain(), Wait(seconds=0), Wait(seconds=RAPID_ACCESS_WINDOW_S)))


@dataclass(slots=True)
class Search:
    """What the scripts of one search share, and what they have come to so far."""

    subjects: Collection[Subject]
    clock: Clock
    runner: asyncio.Runner
    consolidates: bool = True
    scripts: int = 0
    met: Counter[str] = field(default_factory=Counter[str])
    disagreement: Disagreement | None = None

    def start(self) -> Trial:
        self.scripts += 1
        return self.runner.run(Trial.start(self.subjects, self.clock, consolidates=self.consolidates))

    def perform(self, trial: Trial, step: Step) -> Answer:
        try:
            return self.runner.run(trial.perform(step))
        except Disagreement as disagreement:
            self.disagreement = disagreement
            raise


class Script(RuleBasedStateMachine):
    """One script of the search that a subclass names."""

    search: ClassVar[Search]
    texts: Bundle[str] = Bundle("texts")

    def __init__(self) -> None:
        super().__init__()
        self._trial = self.search.start()
        self._met: set[str] = set()
        self._going_on = True

    def perform(self, *steps: Step | None) -> None:
        for step in steps:
            if step is not None:
                self._going_on = False
                answer = self.search.perform(self._trial, step)
                self._met.update(cases(step, answer, self._trial.reference))
                self._going_on = True

    @initialize(target=texts, corpus=corpora)
    def load(self, corpus: list[Load]) -> MultipleResults[str]:
        self.perform(*corpus)
        return multiple(*(load.content for load in corpus))

    @rule(
        target=texts,
        new=st.builds(
            NewMemory,
            content=variants | texts,
            is_catalyst=st.booleans(),
            category=st.sampled_from((None, "work")),
            tags=st.sampled_from(((), ("a", "b"))),
        ),
        pause=pauses,
    )
    def add(self, new: NewMemory, pause: Step | None) -> str:
        self.perform(new, pause)
        return new.content

    @rule(
        query=st.builds(
            Query,
            query=centres | texts,
            limit=st.integers(1, 4) | st.just(100),
            similarity_threshold=st.just(0.0) | st.sampled_from(SIMILARITIES),
            tiers=st.just(()) | st.lists(st.sampled_from(Tier), max_size=2).map(tuple),
            conversation_id=conversations | st.none(),
        ),
        times=st.just(1) | st.integers(2, REPEATS_MAX),
        pause=pauses,
    )
    def query(self, query: Query, times: int, pause: Step | None) -> None:
        self.perform(*[query] * times, pause)

    @rule(
        request=st.builds(
            BootstrapRequest,
            conversation_id=conversations,
            limit=st.integers(1, 5) | st.integers(1, 200),
            include_active=st.booleans(),
            include_thread=st.booleans(),
            include_stable=st.booleans(),
            active_limit=st.none() | st.integers(0, 3),
        )
    )
    def bootstrap(self, request: BootstrapRequest) -> None:
        self.perform(request)

    @rule(content=texts)
    def soft_delete(self, content: str) -> None:
        self.perform(SoftDelete(content=content))

    def teardown(self) -> None:
        """What is still in the background is done and compared too, unless the script has ended early."""
        if self._going_on:
            self.perform(Drain())
        self.search.met.update(self._met)
        for case in self._met:
            event(case)
