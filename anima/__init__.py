"""The Anima memory system: add, query and bootstrap over PostgreSQL and pgvector."""
