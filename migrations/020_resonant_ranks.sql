-- transaction: no
-- squawk-ignore-file ban-concurrent-index-creation-in-transaction
-- What 019 needs before it reads the members of a tier: those whose phi fell before its trigger was there are due for a key,
-- and the resonant memories of each tier are found. A memory is none of them when it is new.
INSERT INTO memory_keys_due SELECT s.id FROM memory_states AS s WHERE s.is_live AND s.key_phi > 0.5 AND s.resonance_phi <= 0.5;

CREATE INDEX CONCURRENTLY IF NOT EXISTS memory_ranks_resonant ON memory_ranks (tier, id) WHERE resonance_phi > 0.5;
