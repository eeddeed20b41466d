"""States meetings that drawing comes to seldom: each of a kind that shows a fault which somebody's program had.

They are performed before anything is drawn, so what they show is found in the first minute of every search.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from anima.model import NewMemory, Query, Tier
from harness.measuring.targets.anima.concurrency.interleavings import (
    ChangeModel,
    Client,
    ClientStep,
    ConnectionLoss,
    Drain,
    FailWork,
    Hold,
    Interleaving,
    Load,
    ProviderOutage,
    SetupStep,
    Wait,
    WorkOnce,
)

A, NEAR, APART, OTHER = "1", "99 0 0 14 1 1 1", "7 0 0 7 1 1", "0 1"
"""`NEAR` is at a similarity of 0.99 to `A`, `APART` of 0.7, `OTHER` of 0."""

NEAR_TO_A, NEAR_TO_THAT = "20 0 0 6", "20 0 0 13"
"""The second is near to the first, and not to `A`."""

JUST_BELOW = "3800 0 0 1249"
"""At 3e-8 below 0.95 to `A`."""

UNEVEN = "2049 0 0 2051"
"""In half precision the numbers above 2048 are even."""

MARKED = "1 | an Insight"
CONSOLIDATE, ASSOCIATE = WorkOnce(kind="consolidation"), WorkOnce(kind="co_occurrence")
KILLED, LOST = ConnectionLoss(loss="killed"), ConnectionLoss(loss="lost_after")


def ask(text: str, conversation_id: str | None = None, tiers: tuple[Tier, ...] = ()) -> Query:
    return Query(query=text, similarity_threshold=0.0, conversation_id=conversation_id, tiers=tiers)


def add(content: str) -> NewMemory:
    return NewMemory(content=content)


def met(
    setup: Sequence[SetupStep],
    *clients: Client | Sequence[ClientStep],
    turns: Sequence[int] = (),
    same_time: bool = False,
) -> Interleaving:
    """Clients as what each of them does, where nothing disrupts it."""
    return Interleaving(
        setup=tuple(setup),
        clients=tuple(each if isinstance(each, Client) else Client(steps=tuple(each)) for each in clients),
        turns=tuple(turns),
        same_time=same_time,
    )


@dataclass(frozen=True, slots=True)
class StatedMeeting:
    """States what is performed, and by which strategy: one that has what it is about."""

    interleaving: Interleaving
    strategy: str = "batched"
    others: tuple[str, ...] = ("frontier",)
    """Which do the same in statements of their own, and disrupted leave whole what they leave."""


MET_TWICE: Final = met([Load(content=A)], [ask(A)], [ask(A)], turns=[0] * 4 + [1] * 3)
ONE_PAIR: Final[list[SetupStep]] = [Load(content=A), Load(content=OTHER), ask(A, "c")]
OF_NEWER: Final[list[SetupStep]] = [
    Load(content=A, tier=Tier.THREAD),
    Load(content=APART),
    add(NEAR),
    ask(NEAR, "c", tiers=(Tier.ACTIVE,)),
]
OF_BOTH: Final[list[SetupStep]] = [
    Load(content=A, tier=Tier.THREAD),
    Load(content=APART),
    ask(A, "c"),
    add(NEAR),
    ask(NEAR, "c", tiers=(Tier.ACTIVE,)),
]

STATED: Final[Mapping[str, StatedMeeting]] = {
    "a threshold on a rounded similarity": StatedMeeting(met([Load(content=A)], [add(JUST_BELOW)])),
    "vectors in half precision": StatedMeeting(met([add(UNEVEN)], [ask(A)])),
    "texts stripped before they are hashed": StatedMeeting(met([add("1 | again")], [add("1 | again ")])),
    "access count from a stale read": StatedMeeting(
        met([Load(content=A)], [ask(A)], [ask(A)], turns=[0] * 4 + [1] * 3)
    ),
    "promotion by the tier of the snapshot": StatedMeeting(
        met([Load(content=A, access_count=4)], [ask(A)], [ask(A)], turns=[0] * 4 + [1] * 3)
    ),
    "a merge that keeps a pair with itself": StatedMeeting(met([Load(content=A), add(NEAR), ask(A, "c")], [ASSOCIATE])),
    "the cache's key without the model": StatedMeeting(met([add(A), ChangeModel(model="others")], [ask(A)])),
    "a cache without expiry": StatedMeeting(met([add(A), Wait(seconds=3600)], [ask(A)])),
    "a shared error kept": StatedMeeting(met([Load(content=A), ProviderOutage(), ask(A)], [ask(A)])),
    "work completed in a second transaction": StatedMeeting(
        met([Load(content=A), Load(content=APART), ask(A, "c")], Client(steps=(ASSOCIATE,), disruption=KILLED))
    ),
    "a consolidation that finds a newer one": StatedMeeting(met([add(A), add(NEAR)], [CONSOLIDATE])),
    "equal creation times": StatedMeeting(met([], [add(A)], [add(NEAR)], same_time=True)),
    "a merge without its lock": StatedMeeting(
        met(
            [
                Load(content=A, tier=Tier.THREAD),
                Load(content=APART),
                add(NEAR),
                ask(NEAR, "c", tiers=(Tier.ACTIVE,)),
            ],
            [ASSOCIATE],
            [CONSOLIDATE],
            turns=[0] * 5 + [1] * 30,
        )
    ),
    "rows unsorted": StatedMeeting(
        met(
            [Load(content=A), Load(content=OTHER)],
            [ask(A)],
            [ask(OTHER)],
            [Hold(content=A)],
            turns=[2] * 2 + [0] * 4 + [1] * 4 + [2],
        )
    ),
    "pairs unsorted": StatedMeeting(
        met(
            [Load(content=A), Load(content=APART), Load(content=OTHER), ask(A, "c")],
            [ask(A, "c")],
            [ask(OTHER, "c")],
            [Hold(content=A, pair_with=APART)],
            turns=[2] * 2 + [0] * 2 + [1] * 3 + [2],
        ),
        strategy="fix2",
    ),
    "insert unless counted": StatedMeeting(met([], [add(A)], [add(A)], turns=[0] * 3 + [1] * 2)),
    "association after access": StatedMeeting(
        met([Load(content=A), Load(content=OTHER)], [ask(A, "c")], [ask(A, "c")], turns=[0] * 4 + [1] * 3)
    ),
    "two consolidators": StatedMeeting(
        met(
            [add(A), Drain(), add(NEAR_TO_A), add(NEAR_TO_THAT)], [CONSOLIDATE], [CONSOLIDATE], turns=[0] * 8 + [1] * 30
        )
    ),
    "a held job dropped": StatedMeeting(
        met([Load(content=A), Load(content=OTHER), ask(A, "c"), FailWork(kind="co_occurrence")], [ask(A)])
    ),
    "a retry after a lost commit": StatedMeeting(met([Load(content=A)], Client(steps=(ask(A),), disruption=LOST))),
    "access outside the transaction": StatedMeeting(
        met(
            [Load(content=A), Load(content=OTHER)],
            Client(steps=(ask(A, "c"),), disruption=ConnectionLoss(loss="killed", at=2)),
        )
    ),
    "detection that overwrites metadata": StatedMeeting(
        met([add(MARKED), add(NEAR)], [CONSOLIDATE, CONSOLIDATE, WorkOnce(kind="catalyst_detection")])
    ),
    "phi from the statement's first look": StatedMeeting(MET_TWICE),
    "a set written as it was read": StatedMeeting(
        met([Load(content=A)], [ask(A, "c")], [ask(A, "d")], turns=[0] * 4 + [1] * 3)
    ),
    "a document of metadata written back whole": StatedMeeting(
        met(
            [add(MARKED), add(NEAR)],
            [CONSOLIDATE],
            [WorkOnce(kind="catalyst_detection")],
            turns=[0] * 15 + [1] * 6,
        )
    ),
    "a pair counted from the statement's first look": StatedMeeting(
        met([*ONE_PAIR, Drain(), ask(A, "c"), ask(A, "c")], [ASSOCIATE], [ASSOCIATE], turns=[0] * 5 + [1] * 5)
    ),
    "two who look for a near one before either writes": StatedMeeting(
        met([], [add(A)], [add(NEAR)], turns=[0] * 4 + [1] * 10), strategy="naive"
    ),
    "two workers who take the same piece": StatedMeeting(
        met(ONE_PAIR, [ASSOCIATE], [ASSOCIATE], turns=[0] * 2 + [1] * 2)
    ),
    "work taken from the end of the queue": StatedMeeting(
        met([add(A), Drain(), add(NEAR_TO_A), add(NEAR_TO_THAT)], [CONSOLIDATE])
    ),
    "work acknowledged before it is done": StatedMeeting(met(ONE_PAIR, Client(steps=(ASSOCIATE,), disruption=KILLED))),
    "work accepted after the commit": StatedMeeting(
        met([Load(content=A)], Client(steps=(add(NEAR),), disruption=KILLED))
    ),
    "association outside the transaction": StatedMeeting(
        met([Load(content=A), Load(content=OTHER)], Client(steps=(ask(A, "c"),), disruption=KILLED))
    ),
    "failed work forgotten": StatedMeeting(met([*ONE_PAIR, FailWork(kind="co_occurrence")], [ask(A)])),
    "work refused since some like it is queued": StatedMeeting(met([*ONE_PAIR, ask(A, "c")], [ASSOCIATE])),
    "misses that do not share a call": StatedMeeting(met([Load(content=A)], [ask(A)], [ask(A)])),
    "an autocommitted statement sent again": StatedMeeting(
        met([Load(content=A)], Client(steps=(ask(A),), disruption=ConnectionLoss(loss="lost_after", at=1))),
        strategy="frontier",
    ),
    "a merge that loses the pairs of the merged": StatedMeeting(met(OF_NEWER, [ASSOCIATE, CONSOLIDATE])),
    "work left out since what it names was merged": StatedMeeting(met(OF_NEWER, [CONSOLIDATE, ASSOCIATE])),
    "a merge that does not add up what both had": StatedMeeting(met(OF_BOTH, [ASSOCIATE, ASSOCIATE, CONSOLIDATE])),
    "a merge that loses what the merged had taken in": StatedMeeting(
        met([], [add(A)], [add(NEAR_TO_A), add(NEAR_TO_THAT), CONSOLIDATE], turns=[1] * 60)
    ),
    "an update that does not look at what it changes": StatedMeeting(
        met([Load(content=A, access_count=4)], [ask(A)], [ask(A)], turns=[0] * 6 + [1] * 6), strategy="naive"
    ),
    "the loser of two adds not counted": StatedMeeting(met([], [add(A)], [add(A)])),
    "accesses of a memory that was merged meanwhile": StatedMeeting(
        met([Load(content=A), add(NEAR)], [ask(A)], [CONSOLIDATE], turns=[0] * 3 + [1] * 40)
    ),
}
"""By the fault that each of them is about."""


def stated_for(strategies: Collection[str]) -> Iterator[tuple[str, Interleaving]]:
    """Each with the strategies among these that it is stated for."""
    for meeting in STATED.values():
        for strategy in dict.fromkeys((meeting.strategy, *meeting.others)):
            if strategy in strategies:
                yield strategy, meeting.interleaving
