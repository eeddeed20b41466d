"""Fix 2: `recordCoOccurrences`, one INSERT for all pairs."""

from collections.abc import Sequence
from uuid import UUID

from anima.database import Session

INSERT = """
    INSERT INTO memory_associations (
        memory_a_id, memory_b_id, co_occurrence_count, strength, conversation_contexts
    ) VALUES {values}
    ON CONFLICT (memory_a_id, memory_b_id) DO UPDATE SET
        co_occurrence_count = memory_associations.co_occurrence_count + 1,
        strength = LOG(1 + memory_associations.co_occurrence_count + 1) / 10.0,
        last_co_occurred_at = NOW(),
        conversation_contexts = array_append(
            memory_associations.conversation_contexts, EXCLUDED.conversation_contexts[1]
        ),
        updated_at = NOW()
"""

Pair = tuple[UUID, UUID]


def pairs_of(memory_ids: Sequence[UUID]) -> list[Pair]:
    """In the order of the results: each pair is sorted, the pairs are not."""
    pairs = []
    for i, first in enumerate(memory_ids):
        for second in memory_ids[i + 1 :]:
            smaller, larger = sorted((first, second))
            pairs.append((smaller, larger))
    return pairs


async def insert_as_written(session: Session, pairs: Sequence[Pair], conversation_id: str) -> None:
    """Three values for five columns."""
    values = ",".join(f"(${3 * i + 1}, ${3 * i + 2}, ${3 * i + 3})" for i in range(len(pairs)))
    parameters = [value for pair in pairs for value in (*pair, conversation_id)]
    await session.connection.execute(INSERT.format(values=values), *parameters)


async def insert_with_five_values(session: Session, pairs: Sequence[Pair], conversation_id: str) -> None:
    """With the table's defaults of the guide for the two that are missing: count 1, strength 1.0."""
    values = ",".join(
        f"(${3 * i + 1}::uuid, ${3 * i + 2}::uuid, 1, 1.0, ARRAY[${3 * i + 3}::text])" for i in range(len(pairs))
    )
    parameters = [value for pair in pairs for value in (*pair, conversation_id)]
    await session.connection.execute(INSERT.format(values=values), *parameters)
