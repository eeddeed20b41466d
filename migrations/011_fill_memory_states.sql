-- transaction: no
-- Fills in what was there before 009, in pieces that are committed one by one: after an interruption it goes on where
-- it stopped. Readers and writers go on.
CALL fill_side_rows();

-- squawk-ignore-file ban-concurrent-index-creation-in-transaction
CREATE INDEX CONCURRENTLY IF NOT EXISTS idx_memory_keys_key ON memory_keys USING hnsw (key halfvec_ip_ops) WITH (m = 16, ef_construction = 64);

ANALYZE memory_states;
ANALYZE memory_keys;
ANALYZE memory_ranks;
