"""Says which of the cases easily got wrong a step has met: a search that never meets one says nothing about it."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final, cast

from anima.model import PHI_MAX, PHI_STEP_ACCESS, Added, Bootstrap, BootstrapRequest, Found, Memory, NewMemory, Query
from harness.measuring.targets.anima.equivalence.reference import Reference
from harness.measuring.targets.anima.equivalence.spelling import cosine_similarity
from harness.measuring.targets.anima.equivalence.steps import ScriptStep
from harness.measuring.targets.anima.equivalence.subjects import SubjectAnswer

ALMOST_DUPLICATE: Final = (0.94, 0.95)
MANY_RESULTS: Final = 15
"""These are more than a hundred pairs."""


def cases(step: ScriptStep, answer: SubjectAnswer, reference: Reference) -> Iterator[str]:
    """Says what the step has met, by the answer and the state of the reference after it."""
    match step, answer:
        case NewMemory(), Added(duplicate="semantic"):
            yield from _of_merge(step, answer.memory, reference)
        case NewMemory(), Added(duplicate="exact"):
            yield "add: exact duplicate"
        case NewMemory(), Added():
            low, high = ALMOST_DUPLICATE
            if any(low <= similarity < high for similarity in _similarities(step, answer.memory, reference)):
                yield "add: nearest just below 0.95"
        case Query(), Found():
            yield from _of_query(step, answer)
        case BootstrapRequest(), Bootstrap():
            yield from _of_bootstrap(step, answer)
        case _:
            pass


def _of_merge(new: NewMemory, survivor: Memory, reference: Reference) -> Iterator[str]:
    variants = cast("Sequence[dict[str, Any]]", survivor.metadata["semantic_variants"])
    similarity = variants[-1]["similarity"]
    yield {0.95: "merge: at 0.95 exactly", 0.98: "merge: at 0.98 exactly"}.get(similarity, "merge: elsewhere")
    if similarity in _similarities(new, survivor, reference):
        yield "merge: equally near memories"
    if new.is_catalyst:
        yield "merge: of a catalyst"
    if survivor.resonance_phi == PHI_MAX:
        yield "merge: phi at its cap"


def _of_query(query: Query, found: Found) -> Iterator[str]:
    for one, other in pairwise(found.memories):
        if one.structural_weight == other.structural_weight:
            decided_by_id = one.memory.resonance_phi == other.memory.resonance_phi
            yield f"query: tie decided by {'id' if decided_by_id else 'phi'}"
    if any(result.similarity == query.similarity_threshold for result in found.memories):
        yield "query: similarity at the threshold"
    if any(result.memory.resonance_phi + PHI_STEP_ACCESS > PHI_MAX for result in found.memories):
        yield "query: phi at its cap"
    if len(found.memories) >= MANY_RESULTS and query.conversation_id:
        yield "query: over a hundred pairs"
    yield from (f"query: promotion to {promotion.to_tier}" for promotion in found.promotions)


def _of_bootstrap(request: BootstrapRequest, bootstrap: Bootstrap) -> Iterator[str]:
    if len(bootstrap.active) > request.limit:
        yield "bootstrap: more active memories than the limit"
    if any(one.last_accessed == other.last_accessed for one, other in pairwise(bootstrap.active)):
        yield "bootstrap: tie decided by id"
    if bootstrap.active and bootstrap.thread and bootstrap.stable:
        yield "bootstrap: all three tiers"


def _similarities(new: NewMemory, chosen: Memory, reference: Reference) -> list[float]:
    """How near the other live memories are."""
    return [
        cosine_similarity(new.content, memory.content) for memory in reference.live.values() if memory.id != chosen.id
    ]
