"""Fix 6: `007_performance_indexes.sql`, and the search that its HNSW index is meant for."""

MIGRATION = """
BEGIN;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memories_tier_phi_accessed
ON memories(tier, resonance_phi DESC, last_accessed DESC)
WHERE deleted_at IS NULL;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memories_content_hash
ON memories(content_hash)
WHERE deleted_at IS NULL;

DROP INDEX IF EXISTS memories_embedding_idx;
CREATE INDEX memories_embedding_idx ON memories
USING hnsw (embedding vector_cosine_ops)
WITH (m = 16, ef_construction = 64);

ANALYZE memories;
ANALYZE memory_associations;

COMMIT;
"""

# One by one, outside a transaction, as they would have to be run.
STATEMENTS = [
    statement
    for statement in MIGRATION.split(";")
    if statement.strip() and statement.strip() not in {"BEGIN", "COMMIT"}
]

SEARCH = """
    SELECT
        id, content, content_hash, tier, category, tags, source,
        access_count, last_accessed, created_at,
        resonance_phi, is_catalyst,
        1 - (embedding <=> $1::vector) AS similarity,
        ((1 - (embedding <=> $1::vector)) * 0.7 + (COALESCE(resonance_phi, 0) / 5.0) * 0.3) AS structural_weight
    FROM memories
    WHERE deleted_at IS NULL
        AND (1 - (embedding <=> $1::vector)) >= $2
    ORDER BY structural_weight DESC, resonance_phi DESC LIMIT $3
"""
