-- transaction: yes
-- Content is unique among live memories only: what was soft-deleted can be added again.
CREATE TABLE memories (
    id uuid PRIMARY KEY,
    content text NOT NULL CONSTRAINT memories_content_length CHECK (char_length(content) BETWEEN 1 AND 50000),
    content_hash text NOT NULL CONSTRAINT memories_content_hash_form CHECK (content_hash ~ '^[0-9a-f]{64}$'),
    embedding vector(768) NOT NULL,
    tier text NOT NULL DEFAULT 'active' CONSTRAINT memories_tier_known CHECK (tier IN ('active', 'thread', 'stable', 'network')),
    tier_last_updated timestamptz NOT NULL DEFAULT now(),
    access_count bigint NOT NULL DEFAULT 0 CONSTRAINT memories_access_count_range CHECK (access_count >= 0),
    last_accessed timestamptz NOT NULL DEFAULT now(),
    accessed_in_conversation_ids text [] NOT NULL DEFAULT '{}',
    category text,
    tags text [] NOT NULL DEFAULT '{}',
    source text,
    resonance_phi double precision NOT NULL DEFAULT 0 CONSTRAINT memories_resonance_phi_range CHECK (resonance_phi BETWEEN 0 AND 5),
    is_catalyst boolean NOT NULL DEFAULT false,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    -- Where a merged memory went: background work accepted before the merge is done on the survivor.
    merged_into uuid
);

CREATE UNIQUE INDEX memories_content_hash_live_key ON memories (content_hash) WHERE deleted_at IS NULL;
