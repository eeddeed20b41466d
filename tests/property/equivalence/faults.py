"""Small faults to plant in the batched path, each of a kind that somebody could write. The suite must find them all."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import import_module
from itertools import combinations
from uuid import UUID

import pytest

from anima import merges, store
from anima.associations.batched import BatchedAssociations
from anima.associations.protocol import CoOccurrence
from anima.connections import Row
from anima.database import Session, Statement

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Fault:
    """`evidence` is part of what the suite says when it finds the fault: it must not be found by accident."""

    name: str
    evidence: str
    plant: Plant


def rewritten(module: str, statement: str, right: str, wrong: str) -> Plant:
    """Changes a piece of SQL that occurs once."""

    def plant(monkeypatch: pytest.MonkeyPatch) -> None:
        original: Statement = getattr(import_module(module), statement)
        assert original.sql.count(right) == 1, f"{module}.{statement} has changed: find the fault another place"
        monkeypatch.setattr(f"{module}.{statement}", replace(original, sql=original.sql.replace(right, wrong)))

    return plant


def paired_by(pairs: Callable[[CoOccurrence], list[tuple[UUID, UUID]]]) -> Plant:
    """Changes which pairs are recorded, in the batched path alone."""

    class Paired(CoOccurrence):
        def pairs(self) -> list[tuple[UUID, UUID]]:
            return pairs(CoOccurrence(self.memory_ids, self.conversation_id, self.at))

    original = BatchedAssociations.record

    async def record(self: BatchedAssociations, session: Session, asked: CoOccurrence) -> None:
        await original(self, session, Paired(asked.memory_ids, asked.conversation_id, asked.at))

    return lambda monkeypatch: monkeypatch.setattr(BatchedAssociations, "record", record)


async def merge_into_the_newer(session: Session, newer: Row, older_id: UUID, similarity: float, at: datetime) -> None:
    (older,) = await session.fetch(merges.LOCK, older_id)
    await session.execute(merges.RETIRE, older_id, at, newer["id"])
    await store.absorb(
        session,
        newer["id"],
        content=older["content"],
        similarity=similarity,
        was_catalyst=older["is_catalyst"],
        at=at,
        earlier_variants=older["variants"],
    )
    await session.execute(merges.MOVE_ASSOCIATIONS, older_id, newer["id"], at)


ACCESS_RECORDS = "anima.access_records.batched"
ASSOCIATIONS = "anima.associations.batched"
BOOTSTRAPS = "anima.bootstraps.one_query"
CONSOLIDATIONS = "anima.consolidations.nearest"
SEARCHES = "anima.searches.exact_once"

FAULTS = [
    Fault(
        "promotion one access early",
        "['promotions']",
        rewritten(
            ACCESS_RECORDS,
            "RECORD",
            "locked.access_count >= step.threshold",
            "locked.access_count + 1 >= step.threshold",
        ),
    ),
    Fault(
        "phi cap missing",
        "memories_resonance_phi_range",
        rewritten(
            ACCESS_RECORDS,
            "RECORD",
            "least(m.resonance_phi + $4, $5)",
            "least(m.resonance_phi + $4, 2 * $5::double precision)",
        ),
    ),
    Fault(
        "one pair dropped per 100",
        "['associations']",
        paired_by(lambda asked: [pair for count, pair in enumerate(asked.pairs(), start=1) if count % 100]),
    ),
    Fault(
        "unsorted pairs",
        "memory_associations_ordered",
        paired_by(lambda asked: list(combinations(asked.memory_ids, 2))),
    ),
    Fault(
        "missing audit row",
        "['promotions']",
        rewritten(
            ACCESS_RECORDS,
            "RECORD",
            "WHERE to_tier IS NOT NULL\n    )",
            "WHERE to_tier IS NULL AND to_tier IS NOT NULL\n    )",
        ),
    ),
    Fault(
        "access log once per query",
        "['accesses']",
        rewritten(ACCESS_RECORDS, "RECORD", "SELECT id, $2 FROM accessed", "SELECT id, $2 FROM accessed LIMIT 1"),
    ),
    Fault(
        "strength from the old count",
        "['strength']",
        rewritten(
            ASSOCIATIONS, "RECORD", "log((1 + 1 + known.co_occurrence_count)", "log((1 + known.co_occurrence_count)"
        ),
    ),
    Fault(
        "conversation lost",
        "['conversation_contexts']",
        rewritten(
            ASSOCIATIONS,
            "RECORD",
            "ELSE known.conversation_contexts || $3",
            "ELSE known.conversation_contexts",
        ),
    ),
    Fault(
        "tie order",
        "['active']",
        rewritten(BOOTSTRAPS, "LOAD", "(ORDER BY last_accessed DESC, id)", "(ORDER BY last_accessed DESC, id DESC)"),
    ),
    Fault(
        "threshold > for >=",
        "['duplicate']: expected 'semantic', got None",
        rewritten(CONSOLIDATIONS, "MATCH", "similarity >= $2", "similarity > $2"),
    ),
    Fault(
        "remaining not clipped at 0",
        "LIMIT must not be negative",
        rewritten(BOOTSTRAPS, "LOAD", "greatest(0, $1::bigint - count(*))", "$1::bigint - count(*)"),
    ),
    Fault(
        "merge that keeps the newer",
        "['duplicate']: expected 'semantic', got None",
        lambda monkeypatch: monkeypatch.setattr(merges, "_merge", merge_into_the_newer),
    ),
    Fault(
        "conversation of an access lost",
        "['conversations']",
        rewritten(
            ACCESS_RECORDS,
            "RECORD",
            "ELSE m.accessed_in_conversation_ids || $3",
            "ELSE m.accessed_in_conversation_ids",
        ),
    ),
    Fault(
        "search threshold > for >=", "['memories']", rewritten(SEARCHES, "FIND", "similarity >= $3", "similarity > $3")
    ),
    Fault(
        "phi does not decide a tie",
        "['memories']",
        rewritten(SEARCHES, "FIND", "structural_weight DESC, resonance_phi DESC, id", "structural_weight DESC, id"),
    ),
]
"""The twelve that the suite was asked to find, and three more."""
