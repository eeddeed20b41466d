"""Says which memories may be left: by every serial order of the adds that their times allow, and the work after.

The contract as a program again, with as little as decides who merges into whom; it shares no statement and no formula
with the memory system.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, cast
from uuid import UUID

from anima.model import Added, Memory, NewMemory
from harness.measuring.targets.anima.concurrency.ledger import variants_of
from harness.measuring.targets.anima.concurrency.outcomes import FinalTables, Meeting, Performed
from harness.measuring.targets.anima.equivalence.reference import DUPLICATE_SIMILARITY
from harness.measuring.targets.anima.equivalence.spelling import cosine_similarity

STATES_MAX: Final = 20_000
"""So many are looked at; a run that allows more orders is not judged by them."""

Left = frozenset[tuple[str, tuple[str, ...]]]
"""What is live, and what each has taken in, sorted."""


class LiveMemory(NamedTuple):
    created_at: datetime
    id: UUID
    content: str
    variants: tuple[str, ...]


class Moment(NamedTuple):
    """`added` are the adds that have been done, `waiting` the memories whose consolidation has not."""

    live: frozenset[LiveMemory]
    added: frozenset[int]
    waiting: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class SerialOrders:
    """`in_background`: whether a memory is consolidated some time after its add, or with it."""

    adds: Sequence[Performed]
    loaded: Sequence[Memory]
    in_background: bool
    consolidates: bool

    def left(self) -> set[Left] | None:
        """Says what can be left; None where there are too many orders."""
        start = Moment(
            frozenset(LiveMemory(memory.created_at, memory.id, memory.content, ()) for memory in self.loaded),
            frozenset(),
            (),
        )
        seen, open_, left = {start}, [start], set[Left]()
        while open_:
            moment = open_.pop()
            following = set(self._following(moment))
            if len(moment.added) == len(self.adds) and not moment.waiting:
                left.add(frozenset((each.content, tuple(sorted(each.variants))) for each in moment.live))
            open_ += following - seen
            seen |= following
            if len(seen) > STATES_MAX:
                return None
        return left

    def _following(self, moment: Moment) -> Iterator[Moment]:
        for number, add in enumerate(self.adds):
            if number not in moment.added and self._may_be_next(number, moment.added):
                added = moment.added | {number}
                yield self._after_add(moment._replace(added=added), add)
                if add.answer is None:
                    yield moment._replace(added=added)
        if moment.waiting:
            yield _consolidated(moment, moment.waiting[0])._replace(
                waiting=(*moment.waiting[1:], *_newer(moment, moment.waiting[0]))
            )

    def _may_be_next(self, number: int, added: frozenset[int]) -> bool:
        """Not before one that had ended when it began."""
        began = self.adds[number].began
        return all(other in added or add.ended is None or add.ended > began for other, add in enumerate(self.adds))

    def _after_add(self, moment: Moment, add: Performed) -> Moment:
        new = cast("NewMemory", add.step)
        if any(memory.content == new.content for memory in moment.live):
            return moment
        written = LiveMemory(add.at, add.new_id, new.content, ())
        moment = moment._replace(live=moment.live | {written})
        if not self.consolidates:
            return moment
        if self.in_background:
            return moment._replace(waiting=(*moment.waiting, written.id))
        newer = _newer(moment, written.id)
        moment = _consolidated(moment, written.id)
        for memory_id in newer:
            moment = _consolidated(moment, memory_id)
        return moment


def _near(moment: Moment, memory: LiveMemory) -> list[LiveMemory]:
    return [
        other
        for other in moment.live
        if other.id != memory.id and cosine_similarity(other.content, memory.content) >= DUPLICATE_SIMILARITY
    ]


def _older(moment: Moment, memory: LiveMemory) -> LiveMemory | None:
    """The nearest, and of equally near ones the oldest."""
    older = [other for other in _near(moment, memory) if other[:2] < memory[:2]]
    return min(older, key=lambda other: (-cosine_similarity(other.content, memory.content), other[:2]), default=None)


def _newer(moment: Moment, memory_id: UUID) -> tuple[UUID, ...]:
    """Those that have to be looked at again: nothing for a memory that goes itself, or is gone."""
    memory = next((each for each in moment.live if each.id == memory_id), None)
    if memory is None or _older(moment, memory):
        return ()
    return tuple(other.id for other in sorted(_near(moment, memory)) if other[:2] > memory[:2])


def _consolidated(moment: Moment, memory_id: UUID) -> Moment:
    memory = next((each for each in moment.live if each.id == memory_id), None)
    survivor = _older(moment, memory) if memory else None
    if memory is None or survivor is None:
        return moment
    grown = survivor._replace(variants=(*survivor.variants, *memory.variants, memory.content))
    return moment._replace(live=moment.live - {memory, survivor} | {grown})


def order_complaints(
    outcome: Meeting, tables: FinalTables, *, in_background: bool, consolidates: bool
) -> Iterator[str]:
    """Says what is left that no order of the adds leaves."""
    if outcome.has_other_models:
        return
    adds = [each for each in outcome.performed if isinstance(each.step, NewMemory) and not each.is_refused]
    orders = SerialOrders(adds, list(outcome.loaded.values()), in_background, consolidates)
    found: Left = frozenset(
        (stored.memory.content, tuple(sorted(str(variant["content"]) for variant in variants_of(stored.memory))))
        for stored in tables.memories.values()
        if stored.is_live
    )
    left = orders.left()
    if left is not None and found not in left:
        one = min(left, key=lambda each: len(each ^ found))
        yield f"no order of the adds leaves {_listed(found - one)}; one leaves {_listed(one - found)} instead"
    yield from _of_answers(adds, tables)


def _of_answers(adds: Sequence[Performed], tables: FinalTables) -> Iterator[str]:
    for each in adds:
        content = cast("NewMemory", each.step).content
        if (
            isinstance(each.answer, Added)
            and each.answer.memory.content != content
            and each.answer.duplicate != "semantic"
        ):
            yield f"the add of {content!r} was answered with {each.answer.memory.content!r}"
        if isinstance(each.answer, Added) and tables.survivor(each.answer.memory.id) is None:
            yield f"the add of {content!r} was answered with a memory that is gone"


def _listed(left: Left) -> str:
    return (
        " and ".join(
            f"{content!r}" + (f" with {', '.join(map(repr, variants))}" if variants else "")
            for content, variants in sorted(left)
        )
        or "nothing"
    )
