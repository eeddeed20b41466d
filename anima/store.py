"""The statements on one memory that every strategy shares: count a duplicate, insert, read back, merge."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from anima.connections import Row
from anima.consolidations.protocol import Candidate
from anima.database import Session, Statement
from anima.model import PHI_CATALYST, PHI_MAX, Memory, NewMemory, Tier, content_hash, merge_phi_step
from anima.rows import COLUMNS, memory_from

COUNT_DUPLICATE: Final = Statement(
    "add.count_duplicate",
    f"""
    UPDATE memories
    SET access_count = access_count + 1, last_accessed = $2, updated_at = $2
    WHERE EXISTS (SELECT FROM pg_advisory_xact_lock(hashtext('anima.add')))
        AND content_hash = $1
        AND deleted_at IS NULL
    RETURNING {COLUMNS}
    """,  # noqa: S608 -- only the constant column list is put in
)
INSERT_OR_COUNT: Final = Statement(
    "add.insert_or_count",
    f"""
    INSERT INTO memories (
        id, content, content_hash, embedding, category, tags, source, tier, is_catalyst, resonance_phi,
        tier_last_updated, last_accessed, created_at, updated_at
    )
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11, $11, $11)
    ON CONFLICT (content_hash) WHERE deleted_at IS NULL DO UPDATE
    SET access_count = memories.access_count + 1, last_accessed = $11, updated_at = $11
    RETURNING {COLUMNS}
    """,  # noqa: S608 -- only the constant column list is put in
)
ADD: Final = Statement(
    "add",
    f"SELECT {COLUMNS} FROM add_memory($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",  # noqa: S608 -- as above
)
RECORD_BOOTSTRAP: Final = Statement(
    "bootstrap.record_access",
    """
    WITH locked AS MATERIALIZED (
        SELECT id FROM memories WHERE id = ANY($1::uuid[]) AND deleted_at IS NULL ORDER BY id FOR UPDATE
    )
    UPDATE memories AS m
    SET access_count = m.access_count + 1, last_accessed = $2, updated_at = $2
    FROM locked
    WHERE m.id = locked.id
    """,
)
ABSORB: Final = Statement(
    "merge.absorb",
    f"""
    UPDATE memories
    SET access_count = access_count + 1,
        last_accessed = $2,
        updated_at = $2,
        resonance_phi = least(resonance_phi + $3, $4),
        is_catalyst = is_catalyst OR $5,
        metadata = jsonb_set(
            metadata, '{{semantic_variants}}',
            coalesce(metadata -> 'semantic_variants', '[]'::jsonb) || $6::jsonb || jsonb_build_array(jsonb_build_object(
                'content', $7::text, 'merged_at', $2::timestamptz, 'phi_contributed', $3::double precision,
                'similarity', $8::double precision, 'was_catalyst', $5::boolean
            ))
        )
    WHERE id = $1 AND deleted_at IS NULL AND content <> $7
    RETURNING {COLUMNS}
    """,  # noqa: S608 -- only the constant column list is put in
)


async def count_duplicate(session: Session, hash_of_content: str, at: datetime) -> Memory | None:
    """Counts an access of the live memory with this content, if there is one. Must run inside a transaction.

    Until that ends no other caller comes past here, whether there is one or not: what is looked for next cannot be
    added meanwhile. Waiting for the other ends after the statement has begun, so it does not see what that one added.
    """
    row = await session.fetch_row(COUNT_DUPLICATE, hash_of_content, at)
    return memory_from(row) if row else None


async def insert_or_count(session: Session, new: NewMemory, candidate: Candidate) -> tuple[Memory, bool]:
    """Writes the memory, or counts an access of the live one with its content; says whether it is new.

    One statement decides, so of any number of concurrent adds of one content one writes and the others count.
    """
    row = await session.fetch_row(
        INSERT_OR_COUNT,
        candidate.id,
        new.content,
        content_hash(new.content),
        candidate.embedding,
        new.category,
        new.tags,
        new.source,
        Tier.ACTIVE,
        new.is_catalyst,
        PHI_CATALYST if new.is_catalyst else 0.0,
        candidate.created_at,
    )
    assert row is not None, "an upsert always gives its row"
    return memory_from(row), row["id"] == candidate.id


async def add(
    session: Session, new: NewMemory, candidate: Candidate, work_kinds: Sequence[str], work_payloads: Sequence[str]
) -> tuple[Memory, bool]:
    """As `insert_or_count`, where what changes often lives apart; accepts the work with a memory that is new."""
    row = await session.fetch_row(
        ADD,
        candidate.id,
        new.content,
        content_hash(new.content),
        candidate.embedding,
        new.category,
        new.tags,
        new.source,
        new.is_catalyst,
        PHI_CATALYST if new.is_catalyst else 0.0,
        candidate.created_at,
        work_kinds,
        [payload.encode() for payload in work_payloads],
    )
    assert row is not None, "it writes a memory, or counts the one that is there"
    return memory_from(row), row["id"] == candidate.id


async def record_bootstrap(session: Session, memory_ids: list[UUID], at: datetime) -> None:
    """Counts an access of each memory, as the system before the fixes did on every bootstrap."""
    await session.execute(RECORD_BOOTSTRAP, memory_ids, at)


async def absorb(
    session: Session,
    survivor_id: UUID,
    *,
    content: str,
    similarity: float,
    was_catalyst: bool,
    at: datetime,
    earlier_variants: str = "[]",
) -> Memory | None:
    """Takes a newer memory's content into an older one; None when that is no longer live, or says the same.

    `earlier_variants` is the JSON array of what the newer one had itself absorbed.
    """
    row: Row | None = await session.fetch_row(
        ABSORB,
        survivor_id,
        at,
        merge_phi_step(similarity, was_catalyst=was_catalyst),
        PHI_MAX,
        was_catalyst,
        earlier_variants,
        content,
        similarity,
    )
    return memory_from(row) if row else None
