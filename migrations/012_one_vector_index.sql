-- transaction: no
-- The index of the keys also finds the nearest, so that an add writes one vector index. Older releases find what they
-- found, by reading all memories: apply this when none is left (`anima migrate --to 11` until then).
DROP INDEX CONCURRENTLY IF EXISTS idx_memories_embedding;
