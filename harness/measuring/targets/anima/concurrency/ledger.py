"""Says whether the tables say what the answers say, counted once each: accesses, phi, promotions, pairs, accepted work.

Nothing here depends on an order: counts add up whichever operation came first. Where an order could decide, both ends
of what it could come to are allowed. Which memories are left is judged in `serial_orders`.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations, pairwise
from typing import Any, Final, cast
from uuid import UUID

from anima.model import Added, Found, FoundMemory, Memory, NewMemory, Query, Tier
from anima.strategy import Strategy
from harness.measuring.targets.anima.concurrency.outcomes import (
    FinalTables,
    Meeting,
    Performed,
    StoredMemory,
    StoredPair,
)
from harness.measuring.targets.anima.equivalence.observation import TOLERANCE
from harness.measuring.targets.anima.equivalence.reference import MARKERS, STABLE_ACCESSES, THREAD_ACCESSES
from harness.measuring.targets.anima.equivalence.spelling import cosine_similarity

PHI_CAP: Final = 5.0
PHI_OF_ACCESS: Final = 0.1
STEPS: Final = {Tier.ACTIVE: (THREAD_ACCESSES, Tier.THREAD), Tier.THREAD: (STABLE_ACCESSES, Tier.STABLE)}

AccessedIds = tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Ledger:
    """One run, by what each query accessed."""

    strategy: Strategy
    outcome: Meeting
    tables: FinalTables

    def complaints(self) -> Iterator[str]:
        yield from (f"accepted work is gone: {job}" for job in self.tables.lost_jobs)
        yield from self.tables.failing_jobs
        accessed = self._accessed()
        for performed in self._queries():
            yield from self._of_query(performed, accessed[performed.at])
        for stored in self.tables.memories.values():
            if stored.is_live:
                yield from self._of_memory(stored, accessed)
        yield from self._of_promotions()
        yield from self._of_pairs(accessed)

    def _queries(self) -> list[Performed]:
        return [performed for performed in self.outcome.performed if isinstance(performed.step, Query)]

    def _accessed(self) -> dict[datetime, AccessedIds]:
        """Which memories the log says that the query of a time accessed."""
        accessed: dict[datetime, list[UUID]] = defaultdict(list)
        for (memory_id, at), count in self.tables.accesses.items():
            accessed[at] += [memory_id] * count
        return defaultdict(tuple, {at: tuple(ids) for at, ids in accessed.items()})

    def _of_query(self, performed: Performed, logged: AccessedIds) -> Iterator[str]:
        what = _shown(performed)
        if len(set(logged)) < len(logged):
            yield f"{what} accessed a memory twice"
        if not isinstance(performed.answer, Found):
            if performed.is_refused and logged:
                yield f"{what} failed, and accessed memories"
            return
        returned = [found.memory.id for found in performed.answer.memories]
        gone = [memory_id for memory_id in returned if memory_id not in logged]
        if any(self._is_live(memory_id) for memory_id in gone):
            yield f"{what} returned memories that it did not access"
        if set(logged) - set(returned):
            yield f"{what} accessed memories that it did not return"
        yield from self._of_answer(performed, performed.answer)

    def _of_answer(self, performed: Performed, found: Found) -> Iterator[str]:
        query = cast("Query", performed.step)
        ranks = [(-each.structural_weight, -each.memory.resonance_phi, each.memory.id) for each in found.memories]
        if any(one > other for one, other in pairwise(ranks)):
            yield f"{_shown(performed)} returned memories out of order"
        if not self.outcome.has_other_models:
            yield from (
                f"{_shown(performed)} found {each.memory.content!r} at a similarity of {each.similarity!r}"
                for each in found.memories
                if not _is_as_similar(query, each)
            )

    def _of_memory(self, stored: StoredMemory, accessed: dict[datetime, AccessedIds]) -> Iterator[str]:
        memory = stored.memory
        began = self.outcome.loaded.get(memory.id)
        queries = [performed for performed in self._queries() if memory.id in accessed[performed.at]]
        absorbed = self._absorbed(memory)
        start = began.access_count if began else 0
        counted = [each for each in self._adds() if _is_exact(each, memory.id)]
        unknown = [each for each in self._adds() if each.answer is None and _says(each, memory.content)]
        least = start + len(queries) + len(absorbed) + len(counted)
        if not least <= memory.access_count <= least + len(unknown):
            yield f"{memory.content!r} has an access count of {memory.access_count} where {least} accesses were made"
        phi = (began.resonance_phi if began else float(self._was_born_catalyst(memory))) + sum(
            float(variant["phi_contributed"]) for variant in absorbed
        )
        phi = min(PHI_CAP, phi + PHI_OF_ACCESS * len(queries))
        if abs(memory.resonance_phi - phi) > TOLERANCE:
            yield f"{memory.content!r} has a phi of {memory.resonance_phi!r} where it must be {phi!r}"
        conversations = {cast("Query", each.step).conversation_id for each in queries} - {None}
        if sorted(memory.accessed_in_conversation_ids) != sorted(conversations, key=str):
            yield f"{memory.content!r} remembers the conversations {sorted(memory.accessed_in_conversation_ids)}"
        yield from self._of_tier(memory, began, start, len(queries), len(absorbed) + len(counted) + len(unknown))
        if began is None and not self._may_be_undetected(memory):
            yield from _of_markers(memory)

    def _was_born_catalyst(self, memory: Memory) -> bool:
        return any(cast("NewMemory", each.step).is_catalyst for each in self._adds() if each.new_id == memory.id)

    def _may_be_undetected(self, memory: Memory) -> bool:
        """Inline, detection comes after the add has been committed, and ends with its client."""
        return self.strategy.consolidation_placement == "inline" and any(
            each.new_id == memory.id and each.answer is None for each in self._adds()
        )

    def _of_tier(self, memory: Memory, began: Memory | None, start: int, queries: int, others: int) -> Iterator[str]:
        """Accesses by adds and merges promote nobody, and may come before those that do, or after."""
        tier = began.tier if began else Tier.ACTIVE
        possible = {tier_after(tier, start + extra, queries) for extra in range(others + 1)}
        if memory.tier not in possible:
            yield f"{memory.content!r} is in the tier {memory.tier} and must be in {' or '.join(sorted(possible))}"
        audited = [each for each in self.tables.promotions.elements() if each.memory_id == memory.id]
        at = tier
        for each in sorted(audited, key=lambda promotion: promotion.access_count):
            threshold, to_tier = STEPS.get(at, (0, at))
            if (each.from_tier, each.to_tier) != (at, to_tier) or each.access_count < threshold:
                yield f"{memory.content!r} was promoted from {each.from_tier} to {each.to_tier} when it was {at}"
            at = each.to_tier
        if at != memory.tier:
            yield f"{memory.content!r} is in the tier {memory.tier} and was promoted to {at}"

    def _of_promotions(self) -> Iterator[str]:
        """Each is written down once, and told to the one who caused it."""
        audited = Counter((each.memory_id, each.from_tier, each.to_tier) for each in self.tables.promotions.elements())
        answered = Counter(
            (each.memory_id, each.from_tier, each.to_tier)
            for performed in self._queries()
            if isinstance(performed.answer, Found)
            for each in performed.answer.promotions
        )
        yield from (f"a promotion was written down {count} times" for count in audited.values() if count > 1)
        if answered - audited:
            yield "a promotion was reported that is not written down"
        if audited - answered and all(performed.answer for performed in self._queries()):
            yield "a promotion is written down that nobody was told of"

    def _of_pairs(self, accessed: dict[datetime, AccessedIds]) -> Iterator[str]:
        least, most = Counter[tuple[UUID, UUID]](), Counter[tuple[UUID, UUID]]()
        contexts: dict[tuple[UUID, UUID], set[str]] = defaultdict(set)
        optional: dict[tuple[UUID, UUID], set[str]] = defaultdict(set)
        for performed in self._queries():
            query = cast("Query", performed.step)
            if query.conversation_id is None:
                continue
            together = self._together(performed, accessed[performed.at])
            pairs = self._pairs_of(together)
            is_certain = self._keeps_pairs_of_merged() or all(map(self._is_live, together))
            for pair, count in pairs.items():
                most[pair] += count
                optional[pair].add(query.conversation_id)
                if is_certain:
                    least[pair] += 1
                    contexts[pair].add(query.conversation_id)
        for pair in sorted({*least, *most, *self._live_pairs()}):
            yield from self._of_pair(pair, (least[pair], most[pair]), (contexts[pair], optional[pair]))

    def _pairs_of(self, together: Collection[UUID]) -> Counter[tuple[UUID, UUID]]:
        """By those that they have become; a pair of one with itself is none."""
        pairs = Counter[tuple[UUID, UUID]]()
        for one, other in combinations(together, 2):
            left, right = self.tables.survivor(one), self.tables.survivor(other)
            if left and right and left != right:
                pairs[min(left, right), max(left, right)] += 1
        return pairs

    def _of_pair(
        self, pair: tuple[UUID, UUID], counts: tuple[int, int], contexts: tuple[set[str], set[str]]
    ) -> Iterator[str]:
        stored = self.tables.pairs.get(pair, StoredPair(0, math.log10(1) / 10, ()))
        names = " and ".join(repr(self.tables.memories[memory_id].memory.content) for memory_id in pair)
        if not counts[0] <= stored.count <= counts[1]:
            yield f"{names} occurred together {_range(*counts)} times, and the tables say {stored.count}"
        if abs(stored.strength - math.log10(1 + stored.count) / 10) > TOLERANCE:
            yield f"{names} have a strength of {stored.strength!r} for a count of {stored.count}"
        if not contexts[0] <= set(stored.conversations) <= contexts[1]:
            yield f"{names} remember {sorted(stored.conversations)}, and occurred together in {sorted(contexts[1])}"
        if len(set(stored.conversations)) < len(stored.conversations):
            yield f"{names} remember a conversation twice"

    def _together(self, performed: Performed, logged: AccessedIds) -> Collection[UUID]:
        """What it returned; where that is not known, what it accessed."""
        if isinstance(performed.answer, Found):
            return {found.memory.id for found in performed.answer.memories}
        return set(logged)

    def _keeps_pairs_of_merged(self) -> bool:
        """Where pairs are written before the response, one may be written to a memory that was merged a moment ago."""
        return self.strategy.association_placement == "background" or self.strategy.associations == "logged"

    def _live_pairs(self) -> list[tuple[UUID, UUID]]:
        return [pair for pair in self.tables.pairs if all(map(self._is_live, pair))]

    def _is_live(self, memory_id: UUID) -> bool:
        stored = self.tables.memories.get(memory_id)
        return stored is not None and stored.is_live

    def _adds(self) -> list[Performed]:
        return [performed for performed in self.outcome.performed if isinstance(performed.step, NewMemory)]

    def _absorbed(self, memory: Memory) -> list[dict[str, Any]]:
        """The variants that it took in itself: without those that they had taken in before."""
        inherited = Counter(
            str(variant["content"])
            for stored in self.tables.memories.values()
            if stored.merged_into == memory.id
            for variant in variants_of(stored.memory)
        )
        absorbed: list[dict[str, Any]] = []
        for variant in variants_of(memory):
            if inherited[variant["content"]]:
                inherited[variant["content"]] -= 1
            else:
                absorbed.append(variant)
        return absorbed


def variants_of(memory: Memory) -> Sequence[dict[str, Any]]:
    return cast("Sequence[dict[str, Any]]", memory.metadata.get("semantic_variants", ()))


def tier_after(tier: Tier, count: int, accesses: int) -> Tier:
    """Each access is a step at most."""
    for number in range(1, accesses + 1):
        threshold, following = STEPS.get(tier, (math.inf, tier))
        if count + number >= threshold:
            tier = following
    return tier


def _of_markers(memory: Memory) -> Iterator[str]:
    marked = any(marker in memory.content.lower() for marker in MARKERS)
    if marked and not memory.is_catalyst and "potential_catalyst" not in memory.metadata:
        yield f"{memory.content!r} says what a catalyst says, and that is not recorded"


def _is_exact(performed: Performed, memory_id: UUID) -> bool:
    answer = performed.answer
    return isinstance(answer, Added) and answer.duplicate == "exact" and answer.memory.id == memory_id


def _says(performed: Performed, content: str) -> bool:
    return isinstance(performed.step, NewMemory) and performed.step.content == content


def _is_as_similar(query: Query, found: FoundMemory) -> bool:
    similarity = cosine_similarity(found.memory.content, query.query)
    return abs(found.similarity - similarity) <= TOLERANCE and similarity >= query.similarity_threshold


def _shown(performed: Performed) -> str:
    step = performed.step
    return f"the query for {step.query!r}" if isinstance(step, Query) else f"the add of {step.content!r}"


def _range(least: int, most: int) -> str:
    return str(least) if least == most else f"{least} to {most}"
