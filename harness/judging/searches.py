"""Searches that may miss something: by which index a statement searches, and what it found.

The latency of an approximate search says nothing without its recall: the quickest finds nothing.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean
from typing import Final

from harness.judging.columns import Columns
from harness.quantities import share
from harness.record import RunRecord, VariantRecord
from harness.samples import COLD

QUERY: Final = "query"
"""The operation of Anima that searches."""

APPROXIMATE: Final = frozenset({"diskann", "hnsw", "ivfflat", "vchordrq"})
"""Kinds of indexes that may leave out what an exact search finds."""


def recalls_of(variant: VariantRecord, operation: str) -> Sequence[float]:
    """One share for each query that was searched exactly as well; empty where none was."""
    name = operation.removesuffix(COLD)
    own = variant.recalls_by_operation.get(name, ())
    return own or (variant.recalls if name == QUERY else ())


def recall_of(variant: VariantRecord, operation: str) -> float | None:
    recalls = recalls_of(variant, operation)
    return fmean(recalls) if recalls else None


def is_approximate(variant: VariantRecord, operation: str) -> bool:
    """Says whether a plan of the operation may miss something."""
    return bool(_kinds(variant, operation) & APPROXIMATE)


def tells_complete(variant: VariantRecord, operation: str) -> bool:
    """Says whether each search tells whether it was complete, which needs no other measure of it."""
    return operation in _telling(variant)


def without_recall(variant: VariantRecord, operations: Iterable[str]) -> str | None:
    """Says why latencies of these operations show nothing; None where each searches exactly, or its recall is known.

    What tells of each search whether it was complete needs no other measure of it.
    """
    for operation in sorted(set(operations) - _telling(variant)):
        kinds = sorted(_kinds(variant, operation) & APPROXIMATE)
        if kinds and not recalls_of(variant, operation):
            return (
                f"{operation} searches by {kinds[0]}, which may miss what there is, and nobody measured its recall: "
                "set `recall_queries = 50` in the scenario"
            )
    return None


def found_sentence(variant: VariantRecord, operations: Iterable[str]) -> str:
    """Says with what recall these operations search; empty where nobody measured it."""
    known = [(name, recall_of(variant, name)) for name in sorted(set(operations))]
    return " ".join(f"Recall of {name}: {share(recall)}." for name, recall in known if recall is not None)


def first_with_recall(record: RunRecord, operation: str, wanted: float) -> VariantRecord | None:
    """The first variant, in the scenario's order, whose recall is as high; so chance does not choose a quick one."""
    for variant in record.variants:
        recall = recall_of(variant, operation)
        if variant.control_of is None and recall is not None and recall >= wanted:
            return variant
    return None


def best_recall(record: RunRecord, operation: str) -> tuple[str, float] | None:
    """The variant that finds most, and its recall; None where nobody measured any."""
    known = {each.name: recall for each in record.variants if (recall := recall_of(each, operation)) is not None}
    return max(known.items(), key=lambda pair: pair[1]) if known else None


def _telling(variant: VariantRecord) -> set[str]:
    return {each.operation for each in Columns.of(variant.samples).tally() if each.proven is not None}


def _kinds(variant: VariantRecord, operation: str) -> set[str]:
    name = operation.removesuffix(COLD)
    plans = [each for each in variant.plans if each.statement.partition(".")[0] == name]
    return {kind for plan in plans for kind in plan.access_methods}
