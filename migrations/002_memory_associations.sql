-- transaction: yes
-- No table refers to memories by a foreign key: its check locks the memory's row, which every query updates, and two
-- kinds of lock on one row let queries deadlock with each other (docs/decisions/0006). Memories are never deleted.
CREATE TABLE memory_associations (
    memory_a_id uuid NOT NULL,
    memory_b_id uuid NOT NULL,
    co_occurrence_count bigint NOT NULL DEFAULT 1 CONSTRAINT memory_associations_count_range CHECK (co_occurrence_count >= 1),
    strength double precision NOT NULL,
    conversation_contexts text [] NOT NULL DEFAULT '{}',
    first_co_occurred_at timestamptz NOT NULL DEFAULT now(),
    last_co_occurred_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (memory_a_id, memory_b_id),
    CONSTRAINT memory_associations_ordered CHECK (memory_a_id < memory_b_id)
);

CREATE INDEX memory_associations_memory_b_id_idx ON memory_associations (memory_b_id);
