"""The reference on numbers that were worked out by hand from the contract."""

from datetime import timedelta

import pytest

from anima.model import BootstrapRequest, NewMemory, Query, Tier
from harness.measuring.targets.anima.equivalence.reference import Reference
from harness.measuring.targets.anima.equivalence.sources import Ids, ScriptClock
from harness.measuring.targets.anima.equivalence.steps import Load


@pytest.fixture
def clock() -> ScriptClock:
    return ScriptClock()


@pytest.fixture
def reference(clock: ScriptClock) -> Reference:
    return Reference(clock, Ids())


def ask(reference: Reference, times: int = 1, **fields: object) -> list[tuple[str, str]]:
    """The promotions of the last of these queries, as tiers."""
    found = [reference.query(Query.parse(query="1", **fields)) for _ in range(times)]
    return [(promotion.from_tier, promotion.to_tier) for promotion in found[-1].promotions]


def test_the_fifth_access_promotes_and_the_fourth_does_not(reference: Reference) -> None:
    reference.load(Load(content="1"))
    assert ask(reference, times=4) == []
    assert ask(reference) == [("active", "thread")]
    assert ask(reference, times=14) == []
    assert ask(reference) == [("thread", "stable")]


def test_an_access_is_one_step_whatever_the_count(reference: Reference) -> None:
    reference.load(Load(content="1", access_count=40))
    assert ask(reference) == [("active", "thread")]
    assert ask(reference) == [("thread", "stable")]


@pytest.mark.parametrize(
    ("content", "is_catalyst", "step"),
    [("49 9 4 1 1", False, 0.1), ("979 203 18 5 1", False, 0.09), ("49 9 4 1 1", True, 1.0), ("19 6 1 1 1", True, 0.9)],
)
def test_a_merge_adds_its_step(reference: Reference, content: str, is_catalyst: bool, step: float) -> None:
    reference.load(Load(content="1"))
    added = reference.add(NewMemory(content=content, is_catalyst=is_catalyst))
    assert added.duplicate == "semantic"
    assert added.memory.content == "1"
    assert added.memory.resonance_phi == pytest.approx(step)
    assert added.memory.is_catalyst is is_catalyst
    assert added.memory.access_count == 1
    assert list(reference.live) == [added.memory.id]


def test_just_below_095_is_new(reference: Reference) -> None:
    reference.load(Load(content="1"))
    assert reference.add(NewMemory(content="949 315 13 2 1")).duplicate is None


def test_phi_is_capped_by_merges_and_accesses(reference: Reference) -> None:
    reference.load(Load(content="1", resonance_phi=4.95))
    ask(reference)
    assert [memory.resonance_phi for memory in reference.live.values()] == [5.0]
    assert reference.add(NewMemory(content="2", is_catalyst=True)).memory.resonance_phi == 5.0


def test_content_that_was_deleted_can_be_added_again(reference: Reference) -> None:
    first = reference.add(NewMemory(content="1"))
    assert reference.add(NewMemory(content="1")).duplicate == "exact"
    reference.soft_delete("1")
    again = reference.add(NewMemory(content="1"))
    assert again.duplicate is None
    assert again.memory.id != first.memory.id


def test_pairs_of_a_conversation_are_counted(reference: Reference) -> None:
    for content in ("1", "0 1", "0 0 1"):
        reference.load(Load(content=content))
    ask(reference, similarity_threshold=0.0)
    assert not reference.state().associations
    ask(reference, times=2, similarity_threshold=0.0, conversation_id="c")
    associations = reference.state().associations
    assert len(associations) == 3
    assert {association.co_occurrence_count for association in associations.values()} == {2}
    assert associations[frozenset({"1", "0 1"})].strength == pytest.approx(0.0477121254719662)


def test_bootstrap_shares_what_the_active_memories_leave(reference: Reference, clock: ScriptClock) -> None:
    for tier in (Tier.ACTIVE, Tier.THREAD, Tier.STABLE):
        for number in range(1, 9):
            clock.now += timedelta(seconds=1)
            reference.load(Load(content=f"{number} | {tier}", tier=tier))
    some = reference.bootstrap(BootstrapRequest(conversation_id="c", limit=13))
    assert some.distribution == {"active": 8, "thread": 4, "stable": 1, "total": 13}
    assert [memory.content for memory in some.active][:2] == ["8 | active", "7 | active"]
    too_many = reference.bootstrap(BootstrapRequest(conversation_id="c", limit=2))
    assert too_many.distribution == {"active": 8, "thread": 0, "stable": 0, "total": 8}
