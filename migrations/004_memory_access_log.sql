-- transaction: yes
CREATE TABLE memory_access_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    memory_id uuid NOT NULL,
    accessed_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX memory_access_log_memory_id_accessed_at_idx ON memory_access_log (memory_id, accessed_at);
