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

from anima.model import BootstrapRequest, NewMemory, Query, Tier
from harness.measuring.targets.anima.equivalence.cases import cases
from harness.measuring.targets.anima.equivalence.sources import ScriptClock
from harness.measuring.targets.anima.equivalence.steps import Drain, Load, ScriptStep, SoftDelete, Wait
from harness.measuring.targets.anima.equivalence.subjects import Subject, SubjectAnswer
from harness.measuring.targets.anima.equivalence.texts import (
    APART,
    AROUND_DUPLICATE,
    CENTRE,
    DIRECTIONS,
    LABELS,
    SIMILARITIES,
    TOPICS,
    WEIGHS_ALIKE_AT_PHI_0,
    WEIGHS_ALIKE_AT_PHI_1,
    Nearness,
    centre,
    variant,
)
from harness.measuring.targets.anima.equivalence.trial import Disagreement, Trial

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


def memory_to_load(content: str, history: tuple[Tier, int], phi: float, *, is_catalyst: bool) -> Load:
    tier, access_count = history
    return Load(content=content, tier=tier, access_count=access_count, resonance_phi=phi, is_catalyst=is_catalyst)


def tie_decided_by_phi(topic: int, label: str) -> list[Load]:
    """Two that weigh the same for their centre, which chance alone brings together too seldom."""
    return [
        Load(content=variant(topic, WEIGHS_ALIKE_AT_PHI_0, 0, label), resonance_phi=0.0),
        Load(content=variant(topic, WEIGHS_ALIKE_AT_PHI_1, 0, label), resonance_phi=1.0),
    ]


def without_repeats(*parts: list[Load]) -> list[Load]:
    return list({load.content: load for load in chain(*parts)}.values())


def variants(*nearnesses: Nearness) -> st.SearchStrategy[str]:
    topics, directions = st.integers(0, TOPICS - 1), st.integers(0, DIRECTIONS - 1)
    return st.builds(variant, topics, st.sampled_from(nearnesses), directions, st.sampled_from(LABELS))


centres = st.integers(0, TOPICS - 1).map(centre)
# What is there lies apart, so that what is added finds the centre, at a similarity around that of a duplicate.
old_texts = variants(*APART) | variants(CENTRE)
new_texts = variants(*AROUND_DUPLICATE) | old_texts
loads = st.builds(
    memory_to_load, old_texts, st.sampled_from(HISTORIES), st.sampled_from(PHIS), is_catalyst=st.booleans()
)
# Hypothesis likes a list short; three of them are seldom short together.
some_loads = st.lists(loads, max_size=10)
tie = st.builds(tie_decided_by_phi, st.integers(0, TOPICS - 1), st.sampled_from(LABELS))
ties = st.lists(tie, max_size=3).map(lambda several: list(chain(*several)))
corpora = st.builds(without_repeats, some_loads, some_loads, some_loads, ties)
conversations = st.sampled_from(("first", "second"))
mostly = st.just(True) | st.booleans()
# A bootstrap right after a query finds memories that were accessed at the same moment.
afterwards = st.none() | st.sampled_from(
    (Drain(), Wait(seconds=RAPID_ACCESS_WINDOW_S), BootstrapRequest(conversation_id="first"))
)


@dataclass(slots=True)
class CounterexampleSearch:
    """Says what the scripts of one search share, and what they have come to so far."""

    subjects: Collection[Subject]
    clock: ScriptClock
    runner: asyncio.Runner
    consolidates: bool = True
    scripts: int = 0
    met: Counter[str] = field(default_factory=Counter[str])
    disagreement: Disagreement | None = None

    def start(self) -> Trial:
        self.scripts += 1
        return self.runner.run(Trial.start(self.subjects, self.clock, consolidates=self.consolidates))

    def perform(self, trial: Trial, step: ScriptStep) -> SubjectAnswer:
        try:
            return self.runner.run(trial.perform(step))
        except Disagreement as disagreement:
            self.disagreement = disagreement
            raise


class Script(RuleBasedStateMachine):
    """One script of the search that a subclass names."""

    search: ClassVar[CounterexampleSearch]
    texts: Bundle[str] = Bundle("texts")

    def __init__(self) -> None:
        super().__init__()
        self._trial = self.search.start()
        self._met: set[str] = set()
        self._going_on = True

    def perform(self, *steps: ScriptStep | None) -> None:
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
            NewMemory.parse,
            content=new_texts | texts,
            is_catalyst=st.booleans(),
            category=st.sampled_from((None, "work")),
            tags=st.sampled_from(((), ("a", "b"))),
        ),
        afterwards=afterwards,
    )
    def add(self, new: NewMemory, afterwards: ScriptStep | None) -> str:
        self.perform(new, afterwards)
        return new.content

    @rule(
        query=st.builds(
            Query.parse,
            query=centres | texts,
            limit=st.integers(1, 4) | st.just(100),
            similarity_threshold=st.just(0.0) | st.sampled_from(SIMILARITIES),
            tiers=st.just(()) | st.lists(st.sampled_from(Tier), max_size=2).map(tuple),
            conversation_id=conversations | st.none(),
        ),
        times=st.just(1) | st.integers(2, REPEATS_MAX),
        afterwards=afterwards,
    )
    def query(self, query: Query, times: int, afterwards: ScriptStep | None) -> None:
        self.perform(*[query] * times, afterwards)

    @rule(
        request=st.builds(
            BootstrapRequest.parse,
            conversation_id=conversations,
            limit=st.integers(1, 10) | st.integers(1, 200),
            include_active=st.booleans(),
            include_thread=mostly,
            include_stable=mostly,
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
