-- transaction: yes
-- A search looks at as much as its index and its answer need, and no plan of a query is made anew at each call.

-- How broadly (`ef_search`) an index of this size is searched, where its answers count.
CREATE FUNCTION breadth_of(index text) RETURNS integer LANGUAGE sql STABLE RETURN
least(300, greatest(100, coalesce((2.4 * sqrt(pg_relation_size(to_regclass(index)) / 8192))::integer, 300)));

-- The first by structural weight, in order, and whether the index proved that no other memory is among them.
--
-- `key <#> ordering` is minus what the index orders by: the indexed weight / 0.7, or the similarity. A half-precision
-- product is off by less than 0.0016 of it, and phi is at most 0.5 above the phi of the key, which is 0.03 of weight; the
-- few that are further above stand in `memory_keys_due` and are ranked too. Hence the proofs: with a full answer nothing
-- that was not looked at reaches the last of it, or nothing of it reaches the threshold. An answer that the threshold
-- cuts short is proven by similarity only, since far down in the order of weight the index misses more. Where nothing
-- is proven it looks at more, and at last ranks all. Of what was looked at as many are ranked as were wanted: a state is
-- read for each, and the proof takes the last of them for the first that was not looked at. The nearest few are found by a
-- narrow search (`ef_search`), more than that by a broad one. Of the quiet memories few reach an answer that the resonant
-- ones can fill: they are searched broadly once more than an eighth of it is theirs, or one more might be. It may start by
-- similarity where that proved the last answer.
CREATE OR REPLACE FUNCTION find_memories(
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
    broad_quiet CONSTANT integer := breadth_of('idx_memory_keys_quiet');
    broad_resonant CONSTANT integer := breadth_of('idx_memory_keys_resonant');
    wanted integer;
    wanted_quiet integer;
    wanted_by_weight integer := 40 + 2 * most;
    wanted_by_similarity integer := 40 + 2 * most;
    breadth integer := least(200, greatest(broad_quiet, broad_resonant));
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
    reached_quiet double precision;
    reached_resonant double precision;
    reached_ranked double precision;
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
            PERFORM set_config(
                'hnsw.ef_search',
                (CASE WHEN by_similarity THEN breadth ELSE least(300, greatest(wanted, broad_resonant)) END)::text,
                true
            );
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
            wanted_quiet := wanted;
            IF NOT by_similarity THEN
                IF resonant >= most THEN
                    wanted_quiet := wanted / 2;
                    PERFORM set_config('hnsw.ef_search', least(wanted_quiet, 300)::text, true);
                ELSE
                    PERFORM set_config('hnsw.ef_search', least(300, greatest(wanted, broad_quiet))::text, true);
                END IF;
            END IF;
        END IF;
        SELECT
            count(*), min(n.reach), seen || array_agg(n.id), seen_phi || array_agg(n.phi), seen_weight || array_agg(n.weight)
        INTO quiet, reached_quiet, seen, seen_phi, seen_weight
        FROM (
            SELECT k.id, k.phi, -0.7 * (k.key <#> weighted) AS weight, -(k.key <#> ordering) AS reach
            FROM memory_keys AS k
            WHERE k.phi <= 0.5
                AND (cardinality(tiers) = 0 OR EXISTS (SELECT FROM memory_states AS s WHERE s.id = k.id AND s.tier = ANY(tiers)))
            ORDER BY k.key <#> ordering
            LIMIT wanted_quiet
        ) AS n;
        WITH ranked AS MATERIALIZED (
            SELECT DISTINCT weight, id, phi FROM unnest(seen, seen_phi, seen_weight) AS n (id, phi, weight)
            WHERE (weight - 0.06 * phi) / 0.7 >= threshold - error
            ORDER BY weight DESC
            LIMIT CASE WHEN NOT by_similarity THEN wanted END
        ),
        candidate AS (
            SELECT id, phi, weight FROM ranked
            UNION ALL
            SELECT k.id, k.phi, -0.7 * (k.key <#> weighted)
            FROM (SELECT id FROM memory_keys_due GROUP BY id) AS d JOIN memory_keys AS k ON k.id = d.id
            WHERE d.id NOT IN (SELECT id FROM ranked)
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
            (SELECT count(*) FROM answer WHERE phi <= 0.5),
            (SELECT CASE count(*) WHEN wanted THEN min(weight) / 0.7 END FROM ranked)
        INTO answers, least_weight, from_quiet, reached_ranked;

        IF wanted_quiet < wanted AND (
            from_quiet > most / 8 OR quiet = wanted_quiet AND least_weight <= error + 0.7 * reached_quiet + lag
        ) THEN
            is_widened := true;
            wanted_quiet := wanted;
            PERFORM set_config('hnsw.ef_search', least(300, greatest(wanted, broad_quiet))::text, true);
            CONTINUE;
        END IF;
        is_widened := false;

        -- An index that gave fewer than it was asked for has no more, unless many equal vectors have cut it into parts, or
        -- so few were in the asked tiers that it stopped early (`hnsw.max_scan_tuples`): they are counted.
        IF quiet < wanted_quiet THEN
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
                LIMIT CASE WHEN cardinality(tiers) = 0 THEN wanted_quiet ELSE 20001 END
            ) AS present;
            EXIT WHEN asked > quiet OR looked_at > 20000;
            reached_quiet := -9;
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
        reached := greatest(reached_quiet, reached_resonant, CASE WHEN NOT by_similarity THEN reached_ranked END);
        IF reached = -9 THEN
            RETURN;
        END IF;
        IF by_similarity AND breadth < 600 AND cardinality(answers) > 3 THEN
            breadth := 600;
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

ALTER FUNCTION record_accesses SET plan_cache_mode = force_generic_plan;
ALTER FUNCTION record_accesses SET enable_seqscan = off;
ALTER FUNCTION recall_memories SET plan_cache_mode = force_generic_plan;
