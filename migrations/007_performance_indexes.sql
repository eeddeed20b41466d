-- transaction: no
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction
-- The guide's fix 6. It has three indexes; one is left. The index on the content hash exists since 001 as a unique
-- one, and the HNSW index since 005 with the same parameters, so making either again would only cost writes.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memories_tier_phi_accessed
ON memories (tier, resonance_phi DESC, access_count DESC, last_accessed DESC, id)
WHERE deleted_at IS NULL;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memories_tier_accessed
ON memories (tier, last_accessed DESC, id)
WHERE deleted_at IS NULL;

ANALYZE memories;
ANALYZE memory_associations;
