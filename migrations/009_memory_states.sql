-- transaction: yes
-- requires: pgvector 0.8.4
-- Older ones can spoil an HNSW index when rows are written while it is vacuumed.
--
-- What changes often lives apart from the vector, so that an access never writes the row that holds it. Whoever still
-- writes the columns of `memories` (an older release; a merge) is followed by a trigger: by how much a value changed,
-- so that nothing is lost while both kinds of release run (docs/decisions/0012).
CREATE TABLE memory_states (
    id uuid PRIMARY KEY,
    tier text NOT NULL CONSTRAINT memory_states_tier_known CHECK (tier IN ('active', 'thread', 'stable', 'network')),
    tier_last_updated timestamptz NOT NULL,
    access_count bigint NOT NULL CONSTRAINT memory_states_access_count_range CHECK (access_count >= 0),
    last_accessed timestamptz NOT NULL,
    accessed_in_conversation_ids text [] NOT NULL,
    resonance_phi double precision NOT NULL CONSTRAINT memory_states_resonance_phi_range CHECK (resonance_phi BETWEEN 0 AND 5),
    -- The phi that the key was made with: a memory further above it than the bound of `memory_keys_due` is due.
    key_phi double precision NOT NULL,
    updated_at timestamptz NOT NULL,
    is_live boolean NOT NULL
) WITH (fillfactor = 70);

-- The vector with phi in two further dimensions, so that the index orders by structural weight: with a = phi / 5,
-- 0.7 * similarity + 0.3 * a = 0.7 * <(question, 3/7, 0), (embedding, a, sqrt(1 - a * a))>, both of unit length at first.
-- Of live memories only.
CREATE TABLE memory_keys (
    id uuid PRIMARY KEY,
    phi double precision NOT NULL,
    key halfvec(770) NOT NULL
);

-- Memories whose phi has left the key behind by more than the bound: each search ranks them too, until they have a new key.
CREATE TABLE memory_keys_due (id uuid NOT NULL) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Live memories in the orders of bootstrap, as of the last folding of `memory_recalls`.
CREATE TABLE memory_ranks (
    id uuid PRIMARY KEY,
    tier text NOT NULL,
    last_accessed timestamptz NOT NULL,
    resonance_phi double precision NOT NULL,
    access_count bigint NOT NULL
);

CREATE INDEX memory_ranks_by_recency ON memory_ranks (tier, last_accessed DESC, id);
CREATE INDEX memory_ranks_by_phi ON memory_ranks (tier, resonance_phi DESC, access_count DESC, last_accessed DESC, id)
WHERE tier IN ('thread', 'stable');

-- What was accessed and is not folded yet: into the access log, the pairs (where there is a conversation) and the ranks.
CREATE TABLE memory_recalls (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    memory_ids uuid [] NOT NULL,
    conversation_id text,
    is_access boolean NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE FUNCTION key_of(embedding vector, phi double precision) RETURNS halfvec LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
(l2_normalize(embedding) || ARRAY[phi / 5, sqrt(greatest(0, 1 - (phi / 5) ^ 2))]::real []::vector)::halfvec(770);

CREATE FUNCTION note_key_due() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memory_keys_due (id) VALUES (NEW.id);
    RETURN NULL;
END
$$;

CREATE TRIGGER memory_states_note_key_due AFTER UPDATE OF resonance_phi ON memory_states FOR EACH ROW
WHEN (NEW.resonance_phi > NEW.key_phi + 0.5 AND OLD.resonance_phi <= OLD.key_phi + 0.5)
EXECUTE FUNCTION note_key_due();

-- The side rows of memories that are there; those that have them already are left as they are. One memory after the other:
-- a session that begins with empty tables would keep a plan that reads them whole.
CREATE FUNCTION add_side_rows(memory_ids uuid []) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    INSERT INTO memory_states
    SELECT
        m.id, m.tier, m.tier_last_updated, m.access_count, m.last_accessed, m.accessed_in_conversation_ids,
        m.resonance_phi, m.resonance_phi, m.updated_at, m.deleted_at IS NULL
    FROM unnest(memory_ids) AS named (id), LATERAL (SELECT * FROM memories AS o WHERE o.id = named.id OFFSET 0) AS m
    ON CONFLICT DO NOTHING;

    INSERT INTO memory_keys (id, phi, key)
    SELECT m.id, s.key_phi, key_of(m.embedding, s.key_phi)
    FROM
        unnest(memory_ids) AS named (id),
        LATERAL (SELECT * FROM memories AS o WHERE o.id = named.id OFFSET 0) AS m,
        LATERAL (SELECT * FROM memory_states AS o WHERE o.id = named.id OFFSET 0) AS s
    WHERE m.deleted_at IS NULL
    ON CONFLICT DO NOTHING;

    INSERT INTO memory_ranks (id, tier, last_accessed, resonance_phi, access_count)
    SELECT s.id, s.tier, s.last_accessed, s.resonance_phi, s.access_count
    FROM unnest(memory_ids) AS named (id), LATERAL (SELECT * FROM memory_states AS o WHERE o.id = named.id OFFSET 0) AS s
    WHERE s.is_live
    ON CONFLICT DO NOTHING;
END
$$;

-- For what was there before: in pieces, each of which is committed by itself.
CREATE PROCEDURE fill_side_rows() LANGUAGE plpgsql AS $$
DECLARE
    ids uuid [];
    last_id uuid;
BEGIN
    LOOP
        ids := ARRAY(
            SELECT m.id FROM memories AS m
            WHERE (last_id IS NULL OR m.id > last_id) AND NOT EXISTS (SELECT FROM memory_states AS s WHERE s.id = m.id)
            ORDER BY m.id
            LIMIT 100
        );
        EXIT WHEN cardinality(ids) = 0;
        PERFORM add_side_rows(ids);
        last_id := ids[cardinality(ids)];
        COMMIT;
    END LOOP;
END
$$;

CREATE FUNCTION mirror_new_memory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM add_side_rows(ARRAY[NEW.id]);
    RETURN NULL;
END
$$;

CREATE FUNCTION mirror_changed_memory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM memory_states WHERE id IN (NEW.id, NEW.merged_into) ORDER BY id FOR UPDATE;
    UPDATE memory_states AS s
    SET tier = CASE WHEN NEW.tier = OLD.tier THEN s.tier ELSE NEW.tier END,
        tier_last_updated = CASE WHEN NEW.tier_last_updated = OLD.tier_last_updated THEN s.tier_last_updated
            ELSE NEW.tier_last_updated END,
        access_count = s.access_count + NEW.access_count - OLD.access_count,
        last_accessed = CASE WHEN s.last_accessed = OLD.last_accessed THEN NEW.last_accessed
            ELSE greatest(s.last_accessed, NEW.last_accessed) END,
        accessed_in_conversation_ids = CASE
            WHEN NEW.accessed_in_conversation_ids = OLD.accessed_in_conversation_ids THEN s.accessed_in_conversation_ids
            ELSE s.accessed_in_conversation_ids || ARRAY(
                SELECT unnest(NEW.accessed_in_conversation_ids)
                EXCEPT
                SELECT unnest(s.accessed_in_conversation_ids)
                ORDER BY 1
            ) END,
        resonance_phi = CASE WHEN s.resonance_phi = OLD.resonance_phi THEN NEW.resonance_phi
            ELSE least(5, greatest(0, s.resonance_phi + NEW.resonance_phi - OLD.resonance_phi)) END,
        updated_at = NEW.updated_at,
        is_live = NEW.deleted_at IS NULL
    WHERE s.id = NEW.id;

    IF NOT FOUND OR (OLD.deleted_at IS NOT NULL AND NEW.deleted_at IS NULL) THEN
        PERFORM add_side_rows(ARRAY[NEW.id]);
        RETURN NULL;
    END IF;
    IF NEW.deleted_at IS NOT NULL THEN
        DELETE FROM memory_keys WHERE id = NEW.id;
        DELETE FROM memory_ranks WHERE id = NEW.id;
        RETURN NULL;
    END IF;
    IF NOT vector_eq(NEW.embedding, OLD.embedding) THEN
        UPDATE memory_keys AS k SET key = key_of(NEW.embedding, k.phi) WHERE k.id = NEW.id;
    END IF;
    UPDATE memory_ranks AS r
    SET tier = s.tier, last_accessed = s.last_accessed, resonance_phi = s.resonance_phi, access_count = s.access_count
    FROM memory_states AS s
    WHERE r.id = NEW.id AND s.id = NEW.id;
    RETURN NULL;
END
$$;

CREATE FUNCTION mirror_removed_memory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE memory_states, memory_keys, memory_keys_due, memory_ranks, memory_recalls;
        RETURN NULL;
    END IF;
    DELETE FROM memory_states WHERE id = OLD.id;
    DELETE FROM memory_keys WHERE id = OLD.id;
    DELETE FROM memory_ranks WHERE id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER memories_mirror_new AFTER INSERT ON memories FOR EACH ROW EXECUTE FUNCTION mirror_new_memory();

CREATE TRIGGER memories_mirror_changed AFTER UPDATE ON memories FOR EACH ROW WHEN (
    (
        OLD.tier, OLD.tier_last_updated, OLD.access_count, OLD.last_accessed, OLD.accessed_in_conversation_ids,
        OLD.resonance_phi, OLD.deleted_at
    ) IS DISTINCT FROM (
        NEW.tier, NEW.tier_last_updated, NEW.access_count, NEW.last_accessed, NEW.accessed_in_conversation_ids,
        NEW.resonance_phi, NEW.deleted_at
    ) OR OLD.embedding <> NEW.embedding
) EXECUTE FUNCTION mirror_changed_memory();

CREATE TRIGGER memories_mirror_deleted AFTER DELETE ON memories FOR EACH ROW EXECUTE FUNCTION mirror_removed_memory();
CREATE TRIGGER memories_mirror_truncated AFTER TRUNCATE ON memories FOR EACH STATEMENT EXECUTE FUNCTION mirror_removed_memory();

-- What is known, with what is not folded yet. For whoever reads the tables from outside, in whichever strategy.
CREATE VIEW current_memories AS
SELECT
    m.id,
    m.content,
    m.content_hash,
    s.tier,
    s.tier_last_updated,
    s.access_count,
    s.last_accessed,
    s.accessed_in_conversation_ids,
    m.category,
    m.tags,
    m.source,
    s.resonance_phi,
    m.is_catalyst,
    m.metadata,
    m.created_at,
    greatest(m.updated_at, s.updated_at) AS updated_at,
    m.deleted_at,
    m.merged_into
FROM memories AS m INNER JOIN memory_states AS s ON m.id = s.id;

CREATE VIEW current_access_log AS
SELECT
    memory_id,
    accessed_at
FROM memory_access_log
UNION ALL
SELECT
    unnest(memory_ids) AS memory_id,
    at AS accessed_at
FROM memory_recalls
WHERE is_access;

-- An id that has been merged since stands for its survivor only once it is folded.
CREATE VIEW unfolded_pairs AS
SELECT
    one.memory_id AS memory_a_id,
    other.memory_id AS memory_b_id,
    r.conversation_id,
    r.at
FROM memory_recalls AS r,
    unnest(r.memory_ids) AS one (memory_id),
    unnest(r.memory_ids) AS other (memory_id)
WHERE r.conversation_id IS NOT NULL AND one.memory_id < other.memory_id;

CREATE VIEW current_associations AS
SELECT
    memory_a_id,
    memory_b_id,
    coalesce(k.co_occurrence_count, 0) + coalesce(u.co_occurrence_count, 0) AS co_occurrence_count,
    log((1 + coalesce(k.co_occurrence_count, 0) + coalesce(u.co_occurrence_count, 0))::double precision) / 10 AS strength,
    coalesce(k.conversation_contexts, '{}') || ARRAY(
        SELECT unnest(u.conversation_contexts)
        EXCEPT
        SELECT unnest(k.conversation_contexts)
        ORDER BY 1
    ) AS conversation_contexts,
    least(k.first_co_occurred_at, u.first_co_occurred_at) AS first_co_occurred_at,
    greatest(k.last_co_occurred_at, u.last_co_occurred_at) AS last_co_occurred_at,
    coalesce(k.created_at, u.first_co_occurred_at) AS created_at,
    greatest(k.updated_at, u.last_co_occurred_at) AS updated_at
FROM memory_associations AS k FULL JOIN (
    SELECT
        memory_a_id,
        memory_b_id,
        count(*) AS co_occurrence_count,
        array_agg(DISTINCT conversation_id) AS conversation_contexts,
        min(at) AS first_co_occurred_at,
        max(at) AS last_co_occurred_at
    FROM unfolded_pairs
    GROUP BY memory_a_id, memory_b_id
) AS u USING (memory_a_id, memory_b_id);
