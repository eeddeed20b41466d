-- transaction: no
-- Fills in what was there before 009, in pieces that are committed one by one: after an interruption it goes on where
-- it stopped. Readers and writers go on.
CALL fill_side_rows();

-- squawk-ignore-file ban-concurrent-index-creation-in-transaction
-- Two, since the few memories of a high phi lie so far from the others that a search which begins among these seldom
-- comes to them. Built twice as broadly as by default: the same search then finds more (docs/decisions/0012).
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memory_keys_quiet ON memory_keys
USING hnsw (key halfvec_ip_ops) WITH (m = 16, ef_construction = 128) WHERE phi <= 0.5;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memory_keys_resonant ON memory_keys
USING hnsw (key halfvec_ip_ops) WITH (m = 16, ef_construction = 128) WHERE phi > 0.5;

CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memory_keys_phi ON memory_keys (phi);

ANALYZE memory_states;
ANALYZE memory_keys;
ANALYZE memory_ranks;
