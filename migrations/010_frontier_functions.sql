-- transaction: yes
-- Each operation of the strategy `frontier` is one statement, which calls one of these: locks are held for as long as
-- the server needs, and never while a client is scheduled (docs/decisions/0012).
CREATE TYPE found_memory AS (
    id uuid,
    similarity double precision,
    structural_weight double precision,
    tier text,
    tier_last_updated timestamptz,
    access_count bigint,
    last_accessed timestamptz,
    accessed_in_conversation_ids text [],
    resonance_phi double precision,
    updated_at timestamptz
);

-- Ranks all live memories, or all of these tiers. What is folded late can only be in another tier than its rank says.
CREATE FUNCTION find_by_ranking_all(question vector, tiers text [], threshold double precision, most integer)
RETURNS found_memory [] LANGUAGE plpgsql STABLE
SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    RETURN ARRAY(
        SELECT ROW(
            id, similarity, structural_weight, tier, tier_last_updated, access_count, last_accessed,
            accessed_in_conversation_ids, resonance_phi, updated_at
        )::found_memory
        FROM (
            SELECT *, 0.7 * similarity + 0.3 * (resonance_phi / 5.0) AS structural_weight
            FROM (
                SELECT s.*, 1 - (m.embedding <=> question) AS similarity
                FROM memory_states AS s JOIN memories AS m ON m.id = s.id
                WHERE s.is_live
                    AND (
                        cardinality(tiers) = 0
                        OR s.tier = ANY(tiers) AND s.id IN (
                            SELECT r.id FROM memory_ranks AS r WHERE r.tier = ANY(tiers)
                            UNION ALL
                            SELECT unnest(memory_ids) FROM memory_recalls
                        )
                    )
                OFFSET 0  -- keeps the planner from computing the distance wherever it is named
            ) AS compared
            WHERE similarity >= threshold
            ORDER BY structural_weight DESC, resonance_phi DESC, id
            LIMIT most
        ) AS first
    );
END
$$;

-- The first by structural weight, in order, and whether the index proved that no other memory is among them.
--
-- `key <#> ordering` is minus what the index orders by: the indexed weight / 0.7, or the similarity. A half-precision
-- product is off by less than 0.0016 of it, and phi is at most 0.5 above the phi of the key, which is 0.03 of weight; the
-- few that are further above stand in `memory_keys_due` and are ranked too. Hence the proofs: with a full answer nothing
-- that was not looked at reaches the last of it, or nothing of it reaches the threshold. An answer that the threshold
-- cuts short is proven by similarity only, since far down in the order of weight the index misses more. Where nothing
-- is proven it looks at more, and at last ranks all. The nearest few are found by a narrow search (`ef_search`), more
-- than that by a broad one. Of the quiet memories few reach an answer that the resonant ones can fill: they are searched
-- broadly once more than an eighth of it is theirs. It may start by similarity where that proved the last answer.
CREATE FUNCTION find_memories(
    question vector, tiers text [], threshold double precision, most integer, ranked_at_once integer,
    starts_by_similarity boolean, OUT answers found_memory [], OUT is_proven boolean, OUT by_similarity boolean
) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
SET hnsw.ef_search = 300 SET hnsw.iterative_scan = relaxed_order AS $$
DECLARE
    error CONSTANT double precision := 0.0016;
    lag CONSTANT double precision := 0.03;
    unit CONSTANT vector := l2_normalize(question);
    weighted CONSTANT halfvec := (unit || ARRAY[3.0 / 7, 0]::real[]::vector)::halfvec;
    unweighted CONSTANT halfvec := (unit || ARRAY[0, 0]::real[]::vector)::halfvec;
    ordering halfvec;
    wanted integer;
    wanted_by_weight integer := 40 + 2 * most;
    wanted_by_similarity integer := 40 + 2 * most;
    breadth text := '200';
    looked_at bigint;
    asked bigint;
    quiet bigint;
    resonant bigint;
    from_quiet bigint;
    is_widened boolean := false;
    seen uuid [] := '{}';
    seen_phi double precision [] := '{}';
    seen_weight double precision [] := '{}';
    reached double precision;
    reached_resonant double precision;
    least_weight double precision;
BEGIN
    is_proven := true;
    by_similarity := starts_by_similarity AND threshold > 0;
    IF cardinality(tiers) = 0 THEN
        looked_at := pg_relation_size('memory_keys') / 8192 * 5;
    ELSE
        SELECT count(*) INTO looked_at
        FROM (SELECT FROM memory_ranks AS r WHERE r.tier = ANY(tiers) LIMIT ranked_at_once + 1) AS few;
    END IF;
    IF looked_at <= ranked_at_once THEN
        answers := find_by_ranking_all(question, tiers, threshold, most);
        RETURN;
    END IF;

    FOR attempt IN 1..6 LOOP
        ordering := CASE WHEN by_similarity THEN unweighted ELSE weighted END;
        wanted := CASE WHEN by_similarity THEN wanted_by_similarity ELSE wanted_by_weight END;
        IF NOT is_widened THEN
            PERFORM set_config('hnsw.ef_search', CASE WHEN by_similarity THEN breadth ELSE '300' END, true);
            SELECT
                count(*), min(n.reach), seen || array_agg(n.id), seen_phi || array_agg(n.phi), seen_weight || array_agg(n.weight)
            INTO resonant, reached_resonant, seen, seen_phi, seen_weight
            FROM (
                SELECT k.id, k.phi, -0.7 * (k.key <#> weighted) AS weight, -(k.key <#> ordering) AS reach
                FROM memory_keys AS k
                WHERE k.phi > 0.5
                    AND (cardinality(tiers) = 0 OR EXISTS (SELECT FROM memory_states AS s WHERE s.id = k.id AND s.tier = ANY(tiers)))
                ORDER BY k.key <#> ordering
                LIMIT wanted
            ) AS n;
            IF NOT by_similarity AND resonant >= most THEN
                PERFORM set_config('hnsw.ef_search', least(wanted, 300)::text, true);
            END IF;
        END IF;
        SELECT
            count(*), min(n.reach), seen || array_agg(n.id), seen_phi || array_agg(n.phi), seen_weight || array_agg(n.weight)
        INTO quiet, reached, seen, seen_phi, seen_weight
        FROM (
            SELECT k.id, k.phi, -0.7 * (k.key <#> weighted) AS weight, -(k.key <#> ordering) AS reach
            FROM memory_keys AS k
            WHERE k.phi <= 0.5
                AND (cardinality(tiers) = 0 OR EXISTS (SELECT FROM memory_states AS s WHERE s.id = k.id AND s.tier = ANY(tiers)))
            ORDER BY k.key <#> ordering
            LIMIT wanted
        ) AS n;
        WITH candidate AS (
            SELECT DISTINCT id, phi, weight FROM unnest(seen, seen_phi, seen_weight) AS n (id, phi, weight)
            UNION ALL
            SELECT k.id, k.phi, -0.7 * (k.key <#> weighted)
            FROM (SELECT id FROM memory_keys_due GROUP BY id) AS d JOIN memory_keys AS k ON k.id = d.id
            WHERE d.id <> ALL(seen)
        ),
        estimated AS MATERIALIZED (
            SELECT
                s.*, c.phi, c.weight + 0.06 * (s.resonance_phi - c.phi) AS weight,
                (c.weight - 0.06 * c.phi) / 0.7 AS similarity_estimated
            FROM candidate AS c JOIN memory_states AS s ON s.id = c.id
            WHERE s.is_live AND (cardinality(tiers) = 0 OR s.tier = ANY(tiers))
        ),
        surely AS (
            SELECT coalesce((
                SELECT e.weight FROM estimated AS e
                WHERE e.similarity_estimated >= threshold + error
                ORDER BY e.weight DESC
                OFFSET most - 1 LIMIT 1
            ), -1) - 2 * error AS weight
        ),
        exact AS (
            SELECT e.*, 1 - (m.embedding <=> question) AS similarity
            FROM surely JOIN estimated AS e ON e.weight >= surely.weight JOIN memories AS m ON m.id = e.id
            WHERE e.similarity_estimated >= threshold - error
            OFFSET 0
        ),
        answer AS (
            SELECT *, 0.7 * similarity + 0.3 * (resonance_phi / 5.0) AS structural_weight
            FROM exact
            WHERE similarity >= threshold
            ORDER BY structural_weight DESC, resonance_phi DESC, id
            LIMIT most
        )
        SELECT
            ARRAY(
                SELECT ROW(
                    id, similarity, structural_weight, tier, tier_last_updated, access_count, last_accessed,
                    accessed_in_conversation_ids, resonance_phi, updated_at
                )::found_memory
                FROM answer
                ORDER BY structural_weight DESC, resonance_phi DESC, id
            ),
            (SELECT min(structural_weight) FROM answer),
            (SELECT count(*) FROM answer WHERE phi <= 0.5)
        INTO answers, least_weight, from_quiet;

        IF NOT by_similarity AND NOT is_widened AND resonant >= most AND from_quiet > most / 8 THEN
            is_widened := true;
            PERFORM set_config('hnsw.ef_search', '300', true);
            CONTINUE;
        END IF;
        is_widened := false;

        -- An index that gave fewer than it was asked for has no more, unless many equal vectors have cut it into parts, or
        -- so few were in the asked tiers that it stopped early (`hnsw.max_scan_tuples`): they are counted.
        IF quiet < wanted THEN
            SELECT
                count(*),
                count(*) FILTER (
                    WHERE cardinality(tiers) = 0
                        OR EXISTS (SELECT FROM memory_states AS s WHERE s.id = present.id AND s.tier = ANY(tiers))
                )
            INTO looked_at, asked
            FROM (
                SELECT k.id FROM memory_keys AS k
                WHERE k.phi <= 0.5
                LIMIT CASE WHEN cardinality(tiers) = 0 THEN wanted ELSE 20001 END
            ) AS present;
            EXIT WHEN asked > quiet OR looked_at > 20000;
            reached := -9;
        END IF;
        IF resonant < wanted THEN
            SELECT
                count(*),
                count(*) FILTER (
                    WHERE cardinality(tiers) = 0
                        OR EXISTS (SELECT FROM memory_states AS s WHERE s.id = present.id AND s.tier = ANY(tiers))
                )
            INTO looked_at, asked
            FROM (
                SELECT k.id FROM memory_keys AS k
                WHERE k.phi > 0.5
                LIMIT CASE WHEN cardinality(tiers) = 0 THEN wanted ELSE 20001 END
            ) AS present;
            EXIT WHEN asked > resonant OR looked_at > 20000;
            reached_resonant := -9;
        END IF;
        reached := greatest(reached, reached_resonant);
        IF reached = -9 THEN
            RETURN;
        END IF;
        IF by_similarity AND breadth = '200' AND cardinality(answers) > 3 THEN
            breadth := '600';
            CONTINUE;
        END IF;
        IF by_similarity AND reached + error < threshold
            OR cardinality(answers) = most AND least_weight > error + 0.7 * reached + (CASE WHEN by_similarity THEN 0.3 ELSE lag END) THEN
            RETURN;
        END IF;
        IF by_similarity THEN
            wanted_by_similarity := wanted_by_similarity * 4;
        ELSE
            wanted_by_weight := wanted_by_weight * 4;
        END IF;
        by_similarity := threshold > 0 AND (
            cardinality(answers) < most OR NOT by_similarity AND wanted_by_similarity < wanted_by_weight
        ) AND NOT (by_similarity AND wanted_by_weight < wanted_by_similarity);
    END LOOP;
    is_proven := false;
    answers := find_by_ranking_all(question, tiers, threshold, most);
END
$$;

-- Records one access of each memory that is still live, locked in the order of their ids: state, promotion, audit, and what
-- is folded later. Returns those memories, with the tiers of a promotion.
CREATE FUNCTION record_accesses(accessed_ids uuid [], conversation text, accessed_at timestamptz, are_pairs boolean)
RETURNS TABLE (memory_id uuid, from_tier text, to_tier text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH locked AS MATERIALIZED (
        SELECT s.id, s.tier, s.access_count + 1 AS access_count
        FROM memory_states AS s
        WHERE s.id = ANY(accessed_ids) AND s.is_live
        ORDER BY s.id
        FOR UPDATE
    ),
    accessed AS (
        SELECT
            l.id, l.access_count, l.tier AS old_tier,
            CASE
                WHEN l.tier = 'active' AND l.access_count >= 5 THEN 'thread'
                WHEN l.tier = 'thread' AND l.access_count >= 20 THEN 'stable'
            END AS new_tier
        FROM locked AS l
    ),
    updated AS (
        UPDATE memory_states AS s
        SET access_count = a.access_count,
            last_accessed = accessed_at,
            updated_at = accessed_at,
            resonance_phi = least(s.resonance_phi + 0.1, 5),
            accessed_in_conversation_ids = CASE
                WHEN conversation IS NULL OR conversation = ANY(s.accessed_in_conversation_ids)
                    THEN s.accessed_in_conversation_ids
                ELSE s.accessed_in_conversation_ids || conversation
            END,
            tier = coalesce(a.new_tier, s.tier),
            tier_last_updated = CASE WHEN a.new_tier IS NULL THEN s.tier_last_updated ELSE accessed_at END
        FROM accessed AS a
        WHERE s.id = a.id
    ),
    audited AS (
        INSERT INTO tier_promotions (memory_id, from_tier, to_tier, reason, access_count_at_promotion, created_at)
        SELECT a.id, a.old_tier, a.new_tier, 'access_threshold', a.access_count, accessed_at
        FROM accessed AS a
        WHERE a.new_tier IS NOT NULL
    ),
    logged AS (
        -- Pairs count for a memory that was merged meanwhile too: its survivor has them.
        INSERT INTO memory_recalls (at, memory_ids, conversation_id, is_access)
        SELECT
            accessed_at, array_agg(a.id ORDER BY a.id),
            CASE WHEN are_pairs AND count(*) = cardinality(accessed_ids) THEN conversation END, true
        FROM accessed AS a
        HAVING count(*) > 0
        UNION ALL
        SELECT accessed_at, accessed_ids, conversation, false
        FROM accessed AS a
        HAVING are_pairs AND count(*) < cardinality(accessed_ids)
    )
    SELECT a.id, a.old_tier, a.new_tier FROM accessed AS a;
END
$$;

-- A whole query. Without a result it is one row of nulls, which says whether that was proven.
CREATE FUNCTION recall_memories(
    question vector, tiers text [], threshold double precision, most integer, ranked_at_once integer,
    starts_by_similarity boolean, conversation text, recalled_at timestamptz
) RETURNS TABLE (
    id uuid, content text, content_hash text, tier text, tier_last_updated timestamptz, access_count bigint,
    last_accessed timestamptz, accessed_in_conversation_ids text [], category text, tags text [], source text,
    resonance_phi double precision, is_catalyst boolean, metadata jsonb, created_at timestamptz, updated_at timestamptz,
    similarity double precision, structural_weight double precision, from_tier text, is_proven boolean, by_similarity boolean
) LANGUAGE plpgsql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    outcome record;
    ids uuid [];
BEGIN
    SELECT * INTO outcome
    FROM find_memories(question, tiers, threshold, most, ranked_at_once, starts_by_similarity);
    IF cardinality(outcome.answers) = 0 THEN
        is_proven := outcome.is_proven;
        by_similarity := outcome.by_similarity;
        RETURN NEXT;
        RETURN;
    END IF;
    ids := ARRAY(SELECT f.id FROM unnest(outcome.answers) AS f);
    RETURN QUERY
    SELECT
        m.id, m.content, m.content_hash, coalesce(a.to_tier, f.tier), f.tier_last_updated, f.access_count, f.last_accessed,
        f.accessed_in_conversation_ids, m.category, m.tags, m.source, f.resonance_phi, m.is_catalyst, m.metadata,
        m.created_at, greatest(m.updated_at, f.updated_at), f.similarity, f.structural_weight,
        CASE WHEN a.to_tier IS NOT NULL THEN a.from_tier END, outcome.is_proven, outcome.by_similarity
    FROM
        unnest(outcome.answers) AS f
        JOIN memories AS m ON m.id = f.id
        LEFT JOIN record_accesses(ids, conversation, recalled_at, conversation IS NOT NULL) AS a ON a.memory_id = f.id
    ORDER BY f.structural_weight DESC, f.resonance_phi DESC, f.id;
END
$$;

-- Writes a memory and accepts the work that follows, or counts an access of the live memory with its content.
CREATE FUNCTION add_memory(
    new_id uuid, new_content text, new_hash text, new_embedding vector, new_category text, new_tags text [], new_source text,
    declared_catalyst boolean, phi double precision, added_at timestamptz, work_kinds text [], work_payloads bytea []
) RETURNS SETOF current_memories LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    counted_id uuid;
BEGIN
    LOOP
        INSERT INTO memories (
            id, content, content_hash, embedding, category, tags, source, is_catalyst, resonance_phi,
            tier_last_updated, last_accessed, created_at, updated_at
        )
        VALUES (
            new_id, new_content, new_hash, new_embedding, new_category, new_tags, new_source, declared_catalyst, phi,
            added_at, added_at, added_at, added_at
        )
        ON CONFLICT (content_hash) WHERE deleted_at IS NULL DO NOTHING;
        IF FOUND THEN
            WITH accepted AS (
                INSERT INTO pgqueuer (priority, entrypoint, payload, execute_after, status)
                SELECT 0, w.kind, w.payload, now(), 'queued'
                FROM unnest(work_kinds, work_payloads) AS w (kind, payload)
                RETURNING id, entrypoint, priority
            )
            INSERT INTO pgqueuer_log (job_id, status, entrypoint, priority)
            SELECT a.id, 'queued', a.entrypoint, a.priority FROM accepted AS a;
            RETURN QUERY SELECT * FROM current_memories AS c WHERE c.id = new_id;
            RETURN;
        END IF;
        UPDATE memory_states AS s
        SET access_count = s.access_count + 1, last_accessed = added_at, updated_at = added_at
        FROM memories AS m
        WHERE m.content_hash = new_hash AND m.deleted_at IS NULL AND s.id = m.id AND s.is_live
        RETURNING s.id INTO counted_id;
        IF FOUND THEN
            INSERT INTO memory_recalls (at, memory_ids, is_access) VALUES (added_at, ARRAY[counted_id], false);
            RETURN QUERY SELECT * FROM current_memories AS c WHERE c.id = counted_id;
            RETURN;
        END IF;
    END LOOP;
END
$$;

-- Folds the oldest recalls into the access log, the pairs and the ranks; returns how many. They go in the same
-- transaction, so that each counts once. One folds at a time, and no merge goes on meanwhile: it would take pairs of two
-- memories, which is no order that others could share.
CREATE FUNCTION fold_recalls(most integer) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    taken memory_recalls [];
    ids uuid [];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('anima.fold')) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtext('anima.merge'));
    WITH first AS (
        DELETE FROM memory_recalls
        WHERE id IN (SELECT r.id FROM memory_recalls AS r ORDER BY r.id LIMIT most)
        RETURNING *
    )
    SELECT array_agg(ROW(f.*)::memory_recalls ORDER BY f.id) INTO taken FROM first AS f;
    IF taken IS NULL THEN
        RETURN 0;
    END IF;
    ids := ARRAY(SELECT DISTINCT i FROM unnest(taken) AS t, unnest(t.memory_ids) AS i ORDER BY i);

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

    -- Locked before the states are read, so that what is written is never older than what another has written.
    PERFORM FROM memory_ranks WHERE id = ANY(ids) ORDER BY id FOR UPDATE;
    UPDATE memory_ranks AS r
    SET tier = s.tier, last_accessed = s.last_accessed, resonance_phi = s.resonance_phi, access_count = s.access_count
    FROM memory_states AS s
    WHERE r.id = ANY(ids) AND s.id = r.id;
    RETURN cardinality(taken);
END
$$;

-- Gives memories that are due a key of half a step ahead of their phi, those that are furthest above theirs first;
-- returns how many. The states are locked last and for no longer than it takes to write down the new keys' phi.
CREATE FUNCTION rekey_memories(most integer) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    ids uuid [];
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtext('anima.rekey')) THEN
        RETURN 0;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(hashtext('anima.merge'));
    ids := ARRAY(
        SELECT d.id FROM memory_keys_due AS d LEFT JOIN memory_states AS s ON s.id = d.id
        ORDER BY s.resonance_phi - s.key_phi DESC
        LIMIT most
    );
    UPDATE memory_keys AS k
    SET phi = ahead.phi, key = key_of(m.embedding, ahead.phi)
    FROM
        (SELECT s.id, least(5, s.resonance_phi + 0.5) AS phi FROM memory_states AS s WHERE s.id = ANY(ids)) AS ahead
        JOIN memories AS m ON m.id = ahead.id
    WHERE k.id = ahead.id;
    PERFORM FROM memory_states WHERE id = ANY(ids) ORDER BY id FOR UPDATE;
    UPDATE memory_states AS s SET key_phi = k.phi FROM memory_keys AS k WHERE s.id = ANY(ids) AND k.id = s.id;
    DELETE FROM memory_keys_due AS d
    WHERE d.id = ANY(ids) AND NOT EXISTS (
        SELECT FROM memory_states AS s WHERE s.id = d.id AND s.is_live AND s.resonance_phi > s.key_phi + 0.5
    );
    RETURN cardinality(ids);
END
$$;

CREATE TYPE similar_memory AS (id uuid, similarity double precision, is_older boolean, created_at timestamptz);

-- The other live memories at this similarity or more, the nearest older one first, then the newer ones, the oldest first.
-- Goes on until nothing that was not looked at can belong to them; where there is an older one, until none can be nearer.
CREATE FUNCTION find_duplicates(
    question vector, own_id uuid, own_created_at timestamptz, at_least double precision
) RETURNS SETOF similar_memory LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
SET hnsw.ef_search = 200 SET hnsw.iterative_scan = relaxed_order SET hnsw.max_scan_tuples = 2147483647 AS $$
DECLARE
    error CONSTANT double precision := 0.0016;
    ordering CONSTANT halfvec := (l2_normalize(question) || ARRAY[0, 0]::real[]::vector)::halfvec;
    reads_all boolean := false;
    wanted integer := 20;
    quiet bigint;
    resonant bigint;
    reached double precision;
    similar_ones similar_memory [];
BEGIN
    LOOP
        WITH neighbour AS MATERIALIZED (
            (
                SELECT k.id, k.phi, -(k.key <#> ordering) AS estimate
                FROM memory_keys AS k
                WHERE NOT reads_all AND k.phi <= 0.5
                ORDER BY k.key <#> ordering
                LIMIT wanted
            )
            UNION ALL
            (
                SELECT k.id, k.phi, -(k.key <#> ordering)
                FROM memory_keys AS k
                WHERE NOT reads_all AND k.phi > 0.5
                ORDER BY k.key <#> ordering
                LIMIT wanted
            )
            UNION ALL
            SELECT k.id, k.phi, -(k.key <#> ordering) FROM memory_keys AS k WHERE reads_all
        ),
        exact AS (
            SELECT
                m.id, 1 - (m.embedding <=> question) AS similarity, (m.created_at, m.id) < (own_created_at, own_id) AS is_older,
                m.created_at
            FROM neighbour AS n JOIN memories AS m ON m.id = n.id
            WHERE n.estimate >= at_least - error AND m.deleted_at IS NULL AND m.id <> own_id
            OFFSET 0
        )
        SELECT
            (SELECT count(*) FROM neighbour AS n WHERE n.phi <= 0.5),
            (SELECT count(*) FROM neighbour AS n WHERE n.phi > 0.5),
            greatest(
                (SELECT CASE count(*) WHEN wanted THEN min(n.estimate) ELSE -1 END FROM neighbour AS n WHERE n.phi <= 0.5),
                (SELECT CASE count(*) WHEN wanted THEN min(n.estimate) ELSE -1 END FROM neighbour AS n WHERE n.phi > 0.5)
            ),
            ARRAY(
                SELECT ROW(e.*)::similar_memory FROM exact AS e
                WHERE e.similarity >= at_least
                ORDER BY e.is_older DESC, CASE WHEN e.is_older THEN e.similarity END DESC, e.created_at, e.id
            )
        INTO quiet, resonant, reached, similar_ones;
        -- Many equal vectors can cut an index into parts: then it gives fewer than there are.
        IF NOT reads_all THEN
            reads_all := quiet < wanted AND quiet < (
                SELECT count(*) FROM (SELECT FROM memory_keys WHERE phi <= 0.5 LIMIT wanted) AS present
            ) OR resonant < wanted AND resonant < (
                SELECT count(*) FROM (SELECT FROM memory_keys WHERE phi > 0.5 LIMIT wanted) AS present
            );
            CONTINUE WHEN reads_all;
        END IF;
        EXIT WHEN reads_all OR reached + error < at_least
            OR (similar_ones[1]).is_older AND reached + error < (similar_ones[1]).similarity;
        wanted := wanted * 5;
    END LOOP;
    RETURN QUERY SELECT * FROM unnest(similar_ones);
END
$$;
