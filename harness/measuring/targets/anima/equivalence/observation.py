"""Where two sides disagree: their answers and states as plain values, compared place by place.

The clock is injected, so the times that an operation sets are compared too, which is more than the contract asks.
Left out are `updated_at`, which a trigger may set, who embedded a text, which a cache changes, and generated ids.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias, assert_never, cast
from uuid import UUID

from anima.model import Added, Bootstrap, Found, Memory
from harness.measuring.targets.anima.equivalence.state import State

Seen: TypeAlias = Added | Found | Bootstrap | State | None
ObservedValues: TypeAlias = dict[str, Any]

TOLERANCE: Final = 1e-9
ABSENT: Final = object()


def values_of(seen: Seen) -> ObservedValues:
    match seen:
        case Added():
            return {"duplicate": seen.duplicate, "memory": _memory(seen.memory)}
        case Found():
            contents = {found.memory.id: found.memory.content for found in seen.memories}
            return {
                "memories": [
                    _memory(found.memory)
                    | {"similarity": found.similarity, "structural_weight": found.structural_weight}
                    for found in seen.memories
                ],
                "promotions": [
                    [_content(contents, promotion.memory_id), str(promotion.from_tier), str(promotion.to_tier)]
                    for promotion in seen.promotions
                ],
            }
        case Bootstrap():
            return {
                "active": list(map(_memory, seen.active)),
                "thread": list(map(_memory, seen.thread)),
                "stable": list(map(_memory, seen.stable)),
                "distribution": dict(seen.distribution),
            }
        case State():
            return _state(seen)
        case None:
            return {}
        case _:
            assert_never(seen)


def differences(expected: object, observed: object, place: str = "") -> Iterator[str]:
    """A line for each place where the two are not the same, floats to 1e-9."""
    ours, theirs = _parts(expected), _parts(observed)
    if ours is not None and theirs is not None:
        for name in dict.fromkeys((*ours, *theirs)):
            yield from differences(ours.get(name, ABSENT), theirs.get(name, ABSENT), f"{place}[{name!r}]")
    elif not _same(expected, observed):
        yield f"{place}: expected {_shown(expected)}, got {_shown(observed)}"


def _parts(value: object) -> dict[object, object] | None:
    """The parts of a mapping or a list under their names or positions; None for anything else."""
    if isinstance(value, dict):
        return cast("dict[object, object]", value)
    return dict(enumerate(cast("list[object]", value))) if isinstance(value, list) else None


def _memory(memory: Memory) -> ObservedValues:
    variants = cast("Sequence[ObservedValues]", memory.metadata.get("semantic_variants", []))
    return {
        "content": memory.content,
        "content_hash": memory.content_hash,
        "tier": str(memory.tier),
        "tier_last_updated": memory.tier_last_updated,
        "access_count": memory.access_count,
        "last_accessed": memory.last_accessed,
        "conversations": sorted(memory.accessed_in_conversation_ids),
        "category": memory.category,
        "tags": list(memory.tags),
        "source": memory.source,
        "resonance_phi": memory.resonance_phi,
        "is_catalyst": memory.is_catalyst,
        "created_at": memory.created_at,
        "variants": [variant | {"merged_at": datetime.fromisoformat(variant["merged_at"])} for variant in variants],
        "catalyst_reasons": len(memory.metadata.get("potential_catalyst", {}).get("reasons", [])),
    }


def _state(state: State) -> ObservedValues:
    return {
        "memories": {memory.content: _memory(memory) for memory in state.memories},
        "associations": {
            " and ".join(sorted(pair)): association._asdict()
            | {"conversation_contexts": sorted(association.conversation_contexts)}
            for pair, association in state.associations.items()
        },
        "promotions": dict(Counter(map(tuple, state.promotions))),
        "accesses": dict(Counter(map(tuple, state.accesses))),
    }


def _content(contents: Mapping[UUID, str], memory_id: UUID) -> str:
    return contents.get(memory_id, f"a memory that was not returned ({memory_id})")


def _same(expected: object, observed: object) -> bool:
    if isinstance(expected, float) and isinstance(observed, float):
        return abs(expected - observed) <= TOLERANCE
    return expected == observed


def _shown(value: object) -> str:
    if value is ABSENT:
        return "nothing"
    if isinstance(value, datetime):
        return value.isoformat()
    return repr(value) if _parts(value) is None else "something"
