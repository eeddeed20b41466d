-- transaction: no
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction
-- Every query changes phi and last_accessed of what it returns. An index that holds either makes each of these updates
-- write all indexes of the row, the HNSW index among them: 24 ms for 20 rows, and 1 ms without (docs/decisions/0007).
-- Sorting a tier's rows costs less. Rows stay in their page only where it has room, hence the fill factor.
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memories_live_tier ON memories (tier) WHERE deleted_at IS NULL;
DROP INDEX CONCURRENTLY IF EXISTS idx_memories_tier_phi_accessed;
DROP INDEX CONCURRENTLY IF EXISTS idx_memories_tier_accessed;
ALTER TABLE memories SET (fillfactor = 70);
ANALYZE memories;
