-- transaction: yes
-- The parameters are pgvector's defaults, written out because the guide's migration claims to introduce them.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX idx_memories_embedding ON memories USING hnsw (embedding vector_cosine_ops) WITH (m = 16, ef_construction = 64);
