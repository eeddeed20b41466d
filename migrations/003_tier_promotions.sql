-- transaction: yes
CREATE TABLE tier_promotions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    memory_id uuid NOT NULL,
    from_tier text NOT NULL,
    to_tier text NOT NULL,
    reason text NOT NULL,
    access_count_at_promotion bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX tier_promotions_memory_id_idx ON tier_promotions (memory_id);
