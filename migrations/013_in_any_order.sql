-- transaction: yes
-- Whoever changes or deletes memories from outside locks their rows in an order of his own. What follows a statement of
-- his here locks the states in the order of their ids, as queries do, before it locks anything else; and background work
-- never waits for a row while it holds another (docs/decisions/0012).

-- What a change of a memory does to its side rows. The states of both, and of whom it merges into, are locked.
CREATE FUNCTION mirror_change(was memories, became memories) RETURNS void LANGUAGE plpgsql SET enable_nestloop = on AS $$
BEGIN
    UPDATE memory_states AS s
    SET tier = CASE WHEN became.tier = was.tier THEN s.tier ELSE became.tier END,
        tier_last_updated = CASE WHEN became.tier_last_updated = was.tier_last_updated THEN s.tier_last_updated
            ELSE became.tier_last_updated END,
        access_count = s.access_count + became.access_count - was.access_count,
        last_accessed = CASE WHEN s.last_accessed = was.last_accessed THEN became.last_accessed
            ELSE greatest(s.last_accessed, became.last_accessed) END,
        accessed_in_conversation_ids = CASE
            WHEN became.accessed_in_conversation_ids = was.accessed_in_conversation_ids THEN s.accessed_in_conversation_ids
            ELSE s.accessed_in_conversation_ids || ARRAY(
                SELECT unnest(became.accessed_in_conversation_ids)
                EXCEPT
                SELECT unnest(s.accessed_in_conversation_ids)
                ORDER BY 1
            ) END,
        resonance_phi = CASE WHEN s.resonance_phi = was.resonance_phi THEN became.resonance_phi
            ELSE least(5, greatest(0, s.resonance_phi + became.resonance_phi - was.resonance_phi)) END,
        updated_at = became.updated_at,
        is_live = became.deleted_at IS NULL
    WHERE s.id = became.id;

    IF NOT FOUND OR (was.deleted_at IS NOT NULL AND became.deleted_at IS NULL) THEN
        PERFORM add_side_rows(ARRAY[became.id]);
        RETURN;
    END IF;
    IF became.deleted_at IS NOT NULL THEN
        DELETE FROM memory_keys WHERE id = became.id;
        DELETE FROM memory_ranks WHERE id = became.id;
        RETURN;
    END IF;
    IF NOT vector_eq(became.embedding, was.embedding) THEN
        UPDATE memory_keys AS k SET key = key_of(became.embedding, k.phi) WHERE k.id = became.id;
    END IF;
    UPDATE memory_ranks AS r
    SET tier = s.tier, last_accessed = s.last_accessed, resonance_phi = s.resonance_phi, access_count = s.access_count
    FROM memory_states AS s
    WHERE r.id = became.id AND s.id = became.id;
END
$$;

-- A session that begins with a change of one row would keep a plan that goes through all of them for each.
CREATE OR REPLACE FUNCTION mirror_changed_memory() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_nestloop = off AS $$
DECLARE
    ids CONSTANT uuid [] := ARRAY(
        SELECT b.id FROM became AS b JOIN was AS w ON w.id = b.id
        WHERE (
            w.tier, w.tier_last_updated, w.access_count, w.last_accessed, w.accessed_in_conversation_ids,
            w.resonance_phi, w.deleted_at
        ) IS DISTINCT FROM (
            b.tier, b.tier_last_updated, b.access_count, b.last_accessed, b.accessed_in_conversation_ids,
            b.resonance_phi, b.deleted_at
        ) OR w.embedding <> b.embedding
    );
BEGIN
    IF cardinality(ids) > 0 THEN
        PERFORM FROM memory_states
        WHERE id = ANY(ids || ARRAY(SELECT b.merged_into FROM became AS b WHERE b.id = ANY(ids)))
        ORDER BY id
        FOR UPDATE;
        PERFORM mirror_change(changed.was, changed.became)
        FROM (
            SELECT ROW(w.*)::memories AS was, ROW(b.*)::memories AS became
            FROM became AS b JOIN was AS w ON w.id = b.id
            WHERE b.id = ANY(ids)
            ORDER BY b.id
        ) AS changed;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION mirror_removed_memory() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    ids uuid [];
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE memory_states, memory_keys, memory_keys_due, memory_ranks, memory_recalls;
        RETURN NULL;
    END IF;
    ids := ARRAY(SELECT w.id FROM was AS w);
    PERFORM FROM memory_states WHERE id = ANY(ids) ORDER BY id FOR UPDATE;
    DELETE FROM memory_states WHERE id = ANY(ids);
    DELETE FROM memory_keys WHERE id = ANY(ids);
    DELETE FROM memory_ranks WHERE id = ANY(ids);
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER memories_mirror_changed AFTER UPDATE ON memories
REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION mirror_changed_memory();

CREATE OR REPLACE TRIGGER memories_mirror_deleted AFTER DELETE ON memories
REFERENCING OLD TABLE AS was FOR EACH STATEMENT EXECUTE FUNCTION mirror_removed_memory();

-- Folds the oldest recalls into the access log, the pairs and the ranks; returns how many. They go in the same
-- transaction, so that each counts once. One folds at a time, and no merge goes on meanwhile: it would take pairs of two
-- memories, which is no order that others could share. Where somebody has one of their ranks, it takes fewer of them, or
-- none this time: the ranks are locked before the states are read, so that what is written is never older than what
-- another has written.
CREATE OR REPLACE FUNCTION fold_recalls(most integer) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    taken memory_recalls [];
    ids uuid [];
    are_free boolean := false;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('anima.fold')) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtext('anima.merge'));
    LOOP
        taken := ARRAY(SELECT r FROM memory_recalls AS r ORDER BY r.id LIMIT most);
        IF cardinality(taken) = 0 THEN
            RETURN 0;
        END IF;
        ids := ARRAY(SELECT DISTINCT i FROM unnest(taken) AS t, unnest(t.memory_ids) AS i ORDER BY i);
        SELECT count(*) = (SELECT count(*) FROM memory_ranks AS r WHERE r.id = ANY(ids)) INTO are_free
        FROM (SELECT FROM memory_ranks AS r WHERE r.id = ANY(ids) ORDER BY r.id FOR UPDATE SKIP LOCKED) AS locked;
        EXIT WHEN are_free;
        most := cardinality(taken) / 2;
    END LOOP;
    DELETE FROM memory_recalls WHERE id = ANY(ARRAY(SELECT t.id FROM unnest(taken) AS t));

    INSERT INTO memory_access_log (memory_id, accessed_at)
    SELECT i, t.at FROM unnest(taken) AS t, unnest(t.memory_ids) AS i WHERE t.is_access ORDER BY i, t.at;

    WITH RECURSIVE trail (id, end_id, merged_into, deleted_at) AS (
        SELECT m.id, m.id, m.merged_into, m.deleted_at FROM memories AS m WHERE m.id = ANY(ids)
        UNION ALL
        SELECT t.id, m.id, m.merged_into, m.deleted_at FROM trail AS t JOIN memories AS m ON m.id = t.merged_into
    ),
    live AS MATERIALIZED (
        SELECT t.id, t.end_id FROM trail AS t WHERE t.merged_into IS NULL AND t.deleted_at IS NULL
    ),
    together AS MATERIALIZED (
        SELECT t.id, t.at, t.conversation_id, array_agg(DISTINCT l.end_id) AS memory_ids
        FROM unnest(taken) AS t, unnest(t.memory_ids) AS i JOIN live AS l ON l.id = i
        WHERE t.conversation_id IS NOT NULL
        GROUP BY t.id, t.at, t.conversation_id
    )
    INSERT INTO memory_associations AS known (
        memory_a_id, memory_b_id, co_occurrence_count, strength, conversation_contexts,
        first_co_occurred_at, last_co_occurred_at, created_at, updated_at
    )
    SELECT
        a, b, count(*), log((1 + count(*))::double precision) / 10, array_agg(DISTINCT t.conversation_id),
        min(t.at), max(t.at), min(t.at), max(t.at)
    FROM together AS t, unnest(t.memory_ids) AS a, unnest(t.memory_ids) AS b
    WHERE a < b
    GROUP BY a, b
    ORDER BY a, b
    ON CONFLICT (memory_a_id, memory_b_id) DO UPDATE
    SET co_occurrence_count = known.co_occurrence_count + excluded.co_occurrence_count,
        strength = log((1 + known.co_occurrence_count + excluded.co_occurrence_count)::double precision) / 10,
        conversation_contexts = known.conversation_contexts || ARRAY(
            SELECT unnest(excluded.conversation_contexts) EXCEPT SELECT unnest(known.conversation_contexts) ORDER BY 1
        ),
        last_co_occurred_at = greatest(known.last_co_occurred_at, excluded.last_co_occurred_at),
        updated_at = excluded.updated_at;

    UPDATE memory_ranks AS r
    SET tier = s.tier, last_accessed = s.last_accessed, resonance_phi = s.resonance_phi, access_count = s.access_count
    FROM memory_states AS s
    WHERE r.id = ANY(ids) AND s.id = r.id;
    RETURN cardinality(taken);
END
$$;

-- Gives memories that are due a key of half a step ahead of their phi, those that are furthest above theirs first;
-- returns of how many the state says so. It waits for nobody: whose key or state another has stays due. A key that is
-- there already, since only the state was locked the last time, is not written again.
CREATE OR REPLACE FUNCTION rekey_memories(most integer) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    due uuid [];
    ids uuid [];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('anima.rekey')) THEN
        RETURN 0;
    END IF;
    due := ARRAY(
        SELECT d.id FROM memory_keys_due AS d LEFT JOIN memory_states AS s ON s.id = d.id
        ORDER BY s.resonance_phi - s.key_phi DESC
        LIMIT most
    );
    ids := ARRAY(SELECT k.id FROM memory_keys AS k WHERE k.id = ANY(due) FOR UPDATE SKIP LOCKED);
    UPDATE memory_keys AS k
    SET phi = ahead.phi, key = key_of(m.embedding, ahead.phi)
    FROM
        (SELECT s.id, least(5, s.resonance_phi + 0.5) AS phi FROM memory_states AS s WHERE s.id = ANY(ids)) AS ahead
        JOIN memories AS m ON m.id = ahead.id
    WHERE k.id = ahead.id AND k.phi <= ahead.phi - 0.5;
    ids := ARRAY(SELECT s.id FROM memory_states AS s WHERE s.id = ANY(due) FOR UPDATE SKIP LOCKED);
    UPDATE memory_states AS s SET key_phi = k.phi FROM memory_keys AS k WHERE s.id = ANY(ids) AND k.id = s.id;
    DELETE FROM memory_keys_due AS d
    WHERE d.id = ANY(due) AND NOT EXISTS (
        SELECT FROM memory_states AS s WHERE s.id = d.id AND s.is_live AND s.resonance_phi > s.key_phi + 0.5
    );
    RETURN cardinality(ids);
END
$$;
