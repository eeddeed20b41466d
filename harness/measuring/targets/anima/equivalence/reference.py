"""The contract as a program in memory: no SQL, no batches, no background, and no formula taken from `model`.

Written to be read beside the contract, and to be obviously right instead of fast. It is what every strategy is compared
with, so that two strategies that are wrong in the same way still disagree with something.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import combinations
from typing import Any, Final, cast
from uuid import UUID

from msgspec import structs

from anima.model import (
    Added,
    Bootstrap,
    BootstrapRequest,
    Found,
    FoundMemory,
    Memory,
    NewMemory,
    Promotion,
    Query,
    Tier,
)
from harness.measuring.targets.anima.equivalence.spelling import cosine_similarity
from harness.measuring.targets.anima.equivalence.state import Association, AuditedPromotion, LoggedAccess, State
from harness.measuring.targets.anima.equivalence.steps import Load

DUPLICATE_SIMILARITY: Final = 0.95
FULL_STEP_SIMILARITY: Final = 0.98
THREAD_ACCESSES: Final = 5
STABLE_ACCESSES: Final = 20
MARKERS: Final = (
    "breakthrough",
    "insight",
    "realized",
    "profound",
    "changed everything",
    "paradigm shift",
    "eureka",
)


@dataclass(slots=True)
class Reference:
    """Holds live memories only: what became of the others is not part of what strategies agree on."""

    clock: Callable[[], datetime]
    new_id: Callable[[], UUID]
    consolidates: bool = True
    live: dict[UUID, Memory] = field(default_factory=dict[UUID, Memory])
    associations: dict[frozenset[UUID], Association] = field(default_factory=dict[frozenset[UUID], Association])
    promotions: list[tuple[UUID, AuditedPromotion]] = field(default_factory=list[tuple[UUID, AuditedPromotion]])
    accesses: list[tuple[UUID, LoggedAccess]] = field(default_factory=list[tuple[UUID, LoggedAccess]])

    def add(self, new: NewMemory) -> Added:
        now, memory_id = self.clock(), self.new_id()
        same = [memory for memory in self.live.values() if memory.content == new.content]
        if same:
            return Added(self._change(same[0], access_count=same[0].access_count + 1, last_accessed=now), "exact", "")
        similar = self._similar(new.content)
        if similar:
            return Added(self._merge(new, similar[0], now), "semantic", "")
        memory = self._insert(
            Load(content=new.content, is_catalyst=new.is_catalyst, resonance_phi=1.0 if new.is_catalyst else 0.0),
            memory_id,
            now,
        )
        memory = self._change(memory, category=new.category, tags=new.tags, source=new.source)
        markers = [marker for marker in MARKERS if marker in new.content.lower()]
        if markers and not new.is_catalyst:
            self._change(memory, metadata={"potential_catalyst": {"reasons": markers}})
        return Added(memory, None, "")

    def query(self, query: Query) -> Found:
        now = self.clock()
        candidates = [
            FoundMemory(memory, similarity, 0.7 * similarity + 0.3 * (memory.resonance_phi / 5.0))
            for memory in self.live.values()
            if not query.tiers or memory.tier in query.tiers
            if (similarity := cosine_similarity(memory.content, query.query)) >= query.similarity_threshold
        ]
        candidates.sort(key=lambda found: (-found.structural_weight, -found.memory.resonance_phi, found.memory.id))
        results = candidates[: query.limit]
        promotions = [self._access(found.memory, query.conversation_id, now) for found in results]
        if query.conversation_id is not None:
            for one, other in combinations(results, 2):
                self._associate(frozenset({one.memory.id, other.memory.id}), query.conversation_id, now)
        return Found(
            tuple(replace(found, memory=self._in_new_tier(found.memory)) for found in results),
            tuple(sorted((promotion for promotion in promotions if promotion), key=lambda each: each.memory_id)),
            "",
        )

    def bootstrap(self, request: BootstrapRequest) -> Bootstrap:
        active = self._of(Tier.ACTIVE, lambda memory: (-memory.last_accessed.timestamp(), memory.id))
        active = active[: request.active_limit] if request.include_active else ()
        remaining = max(0, request.limit - len(active))
        thread = self._of(Tier.THREAD, _by_phi)[: math.ceil(7 * remaining / 10)] if request.include_thread else ()
        stable = self._of(Tier.STABLE, _by_phi)[: math.floor(3 * remaining / 10)] if request.include_stable else ()
        return Bootstrap(active, thread, stable)

    def load(self, load: Load) -> None:
        self._insert(load, self.new_id(), self.clock())

    def soft_delete(self, content: str) -> None:
        self.live = {memory_id: memory for memory_id, memory in self.live.items() if memory.content != content}

    def state(self) -> State:
        contents = {memory.id: memory.content for memory in self.live.values()}
        return State(
            memories=self.live.values(),
            associations={
                frozenset(contents[memory_id] for memory_id in pair): association
                for pair, association in self.associations.items()
                if pair <= contents.keys()
            },
            promotions=[audited for memory_id, audited in self.promotions if memory_id in contents],
            accesses=[logged for memory_id, logged in self.accesses if memory_id in contents],
        )

    def _insert(self, load: Load, memory_id: UUID, now: datetime) -> Memory:
        self.live[memory_id] = Memory(
            id=memory_id,
            content=load.content,
            content_hash=hashlib.sha256(load.content.encode()).hexdigest(),
            tier=load.tier,
            tier_last_updated=now,
            access_count=load.access_count,
            last_accessed=now,
            accessed_in_conversation_ids=(),
            category=None,
            tags=(),
            source=None,
            resonance_phi=load.resonance_phi,
            is_catalyst=load.is_catalyst,
            metadata={},
            created_at=now,
            updated_at=now,
        )
        return self.live[memory_id]

    def _similar(self, content: str) -> list[Memory]:
        """Semantic duplicates, the nearest first, and of equally near ones the oldest."""
        if not self.consolidates:
            return []
        similarities = {memory.id: cosine_similarity(memory.content, content) for memory in self.live.values()}
        similar = [memory for memory in self.live.values() if similarities[memory.id] >= DUPLICATE_SIMILARITY]
        return sorted(similar, key=lambda memory: (-similarities[memory.id], memory.created_at))

    def _merge(self, new: NewMemory, survivor: Memory, now: datetime) -> Memory:
        similarity = cosine_similarity(survivor.content, new.content)
        step = (1.0 if new.is_catalyst else 0.1) * (1.0 if similarity >= FULL_STEP_SIMILARITY else 0.9)
        variant = {
            "content": new.content,
            "merged_at": now.isoformat(),
            "phi_contributed": step,
            "similarity": similarity,
            "was_catalyst": new.is_catalyst,
        }
        earlier = cast("Sequence[object]", survivor.metadata.get("semantic_variants", []))
        return self._change(
            survivor,
            resonance_phi=min(5.0, survivor.resonance_phi + step),
            access_count=survivor.access_count + 1,
            last_accessed=now,
            is_catalyst=survivor.is_catalyst or new.is_catalyst,
            metadata={**survivor.metadata, "semantic_variants": [*earlier, variant]},
        )

    def _access(self, memory: Memory, conversation_id: str | None, now: datetime) -> Promotion | None:
        memory = self._change(
            memory,
            access_count=memory.access_count + 1,
            last_accessed=now,
            resonance_phi=min(5.0, memory.resonance_phi + 0.1),
            accessed_in_conversation_ids=_with(memory.accessed_in_conversation_ids, conversation_id),
        )
        self.accesses.append((memory.id, LoggedAccess(memory.content, now)))
        if memory.tier == Tier.ACTIVE and memory.access_count >= THREAD_ACCESSES:
            return self._promote(memory, Tier.THREAD, now)
        if memory.tier == Tier.THREAD and memory.access_count >= STABLE_ACCESSES:
            return self._promote(memory, Tier.STABLE, now)
        return None

    def _promote(self, memory: Memory, to_tier: Tier, now: datetime) -> Promotion:
        self._change(memory, tier=to_tier, tier_last_updated=now)
        audited = AuditedPromotion(memory.content, memory.tier, to_tier, "access_threshold", memory.access_count)
        self.promotions.append((memory.id, audited))
        return Promotion(memory.id, memory.tier, to_tier)

    def _associate(self, pair: frozenset[UUID], conversation_id: str, now: datetime) -> None:
        known = self.associations.get(pair)
        count = known.co_occurrence_count + 1 if known else 1
        conversations = known.conversation_contexts if known else frozenset[str]()
        self.associations[pair] = Association(count, math.log10(1 + count) / 10, conversations | {conversation_id}, now)

    def _change(self, memory: Memory, **changes: Any) -> Memory:  # noqa: ANN401 -- fields of Memory
        self.live[memory.id] = structs.replace(self.live[memory.id], **changes)
        return self.live[memory.id]

    def _in_new_tier(self, memory: Memory) -> Memory:
        return structs.replace(memory, tier=self.live[memory.id].tier)

    def _of(self, tier: Tier, order: Callable[[Memory], tuple[object, ...]]) -> tuple[Memory, ...]:
        return tuple(sorted((memory for memory in self.live.values() if memory.tier == tier), key=order))


def _by_phi(memory: Memory) -> tuple[float, int, float, UUID]:
    return -memory.resonance_phi, -memory.access_count, -memory.last_accessed.timestamp(), memory.id


def _with(conversation_ids: tuple[str, ...], conversation_id: str | None) -> tuple[str, ...]:
    if conversation_id is None or conversation_id in conversation_ids:
        return conversation_ids
    return (*conversation_ids, conversation_id)
