-- transaction: yes
-- squawk-ignore-file ban-drop-function
-- A search of an index is a cursor, which goes on where it stopped: a scan of pgvector that is continued has visited the same
-- as one that was as broad from the start. So each goes as far as its question needs: until what it gives stands so far below
-- the last of the answer that a group which it has come past none of is unlikely to reach it.

-- Keys as a search gives them: how much each weighs by its indexed phi, and how far the search has come in its own order.
CREATE TYPE near_key AS (id uuid, phi double precision, weight double precision, reach double precision);

-- The keys of the resonant memories, or of the quiet ones, in this order, as their index has them. A part of
-- `find_memories`, whose settings hold here and in the next.
CREATE FUNCTION keys_in_order(are_resonant boolean, ordering halfvec, weighted halfvec, tiers text []) RETURNS refcursor
LANGUAGE plpgsql STABLE AS $$
DECLARE
    keys refcursor;
BEGIN
    IF are_resonant THEN
        OPEN keys NO SCROLL FOR
            SELECT k.id, k.phi, -0.7 * (k.key <#> weighted), -(k.key <#> ordering)
            FROM memory_keys AS k
            WHERE k.phi > 0.5
                AND (cardinality(tiers) = 0 OR EXISTS (SELECT FROM memory_states AS s WHERE s.id = k.id AND s.tier = ANY(tiers)))
            ORDER BY k.key <#> ordering;
    ELSE
        OPEN keys NO SCROLL FOR
            SELECT k.id, k.phi, -0.7 * (k.key <#> weighted), -(k.key <#> ordering)
            FROM memory_keys AS k
            WHERE k.phi <= 0.5
                AND (cardinality(tiers) = 0 OR EXISTS (SELECT FROM memory_states AS s WHERE s.id = k.id AND s.tier = ANY(tiers)))
            ORDER BY k.key <#> ordering;
    END IF;
    RETURN keys;
END
$$;

-- So many of the next keys, or those until the search has come so far.
CREATE FUNCTION next_keys(
    search refcursor, wanted integer, until double precision,
    OUT keys near_key [], OUT reached double precision, OUT is_at_end boolean
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    key near_key;
BEGIN
    keys := '{}';
    FOR given IN 1..wanted LOOP
        FETCH search INTO key;
        is_at_end := NOT FOUND;
        EXIT WHEN is_at_end;
        keys[given] := key;
        reached := key.reach;
        EXIT WHEN reached <= until;
    END LOOP;
END
$$;

-- Whether a search that came to its end after so many keys has not given all: many equal vectors have cut its index into
-- parts, or so few were in the asked tiers that it stopped early (`hnsw.max_scan_tuples`).
CREATE FUNCTION is_cut(are_resonant boolean, tiers text [], given integer) RETURNS boolean LANGUAGE sql STABLE RETURN (
    SELECT
        count(*) > 20000 OR given < count(*) FILTER (
            WHERE cardinality(tiers) = 0
                OR EXISTS (SELECT FROM memory_states AS s WHERE s.id = present.id AND s.tier = ANY(tiers))
        )
    FROM (
        SELECT k.id FROM memory_keys AS k
        WHERE k.phi > CASE WHEN are_resonant THEN 0.5 ELSE -1 END AND k.phi <= CASE WHEN are_resonant THEN 5 ELSE 0.5 END
        LIMIT CASE WHEN cardinality(tiers) = 0 THEN given + 1 ELSE 20001 END
    ) AS present
);

-- The first by structural weight, in order, and whether the indexes proved that no other memory is among them.
--
-- `reach` is what an index orders by: the indexed weight / 0.7, or the similarity. A half-precision product is off by less
-- than 0.0016 of it, and phi is at most 0.5 above the phi of the key, which is 0.03 of weight; the few that are further above
-- stand in `memory_keys_due` and are ranked too. Hence the proofs, of either index by itself: with a full answer nothing that
-- it has not given reaches the last of it, or nothing of it reaches the threshold. An answer that the threshold cuts short
-- is proven by similarity only, since far down in the order of weight an index misses more. An index that has proven
-- nothing goes on, in the order that came closer to a proof; at last all are ranked.
--
-- A proof trusts the order of its index, and an index may come late to a group of near memories. Of 2,000 answers with
-- phi as it becomes in use or even, nearly all that a search missed belonged to questions whose keys lay close below the
-- last of the answer: so a search goes on until they lie `gaps` below it. The more memories an index has, the closer they lie.
--
-- Of what was given few are ranked, since a state is read for each: those that weigh most by their key, and those whose phi
-- could lift them above these. Of the quiet memories few reach an answer that the resonant ones can fill, and ten are looked
-- at. Where a quiet memory could take the last place of the resonant ones, being as near as the nearest of them or a little
-- nearer, more are looked at, for a whole group of them may come late. The resonant ones, of which many below the threshold
-- may weigh more than those above it, may start by similarity where that proved the last answer, and so do the quiet ones
-- where few of the resonant ones are above it. A search by weight goes to those of the highest phi, and past groups of a
-- lower one that are so near that they weigh more: these are what a narrow search by similarity finds first. Where most
-- memories are resonant, phi tells few of them apart: this finds nothing else then, and keys lie closer.
CREATE OR REPLACE FUNCTION find_memories(
    question vector, tiers text [], threshold double precision, most integer, ranked_at_once integer,
    starts_by_similarity boolean, OUT answers found_memory [], OUT is_proven boolean, OUT by_similarity boolean
) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
SET hnsw.ef_search = 10 SET hnsw.iterative_scan = relaxed_order SET hnsw.scan_mem_multiplier = 4 AS $$
DECLARE
    error CONSTANT double precision := 0.0016;
    lag CONSTANT double precision := 0.03;
    -- What phi adds to the weight of a quiet memory at most, and 0.086 of similarity.
    quiet_more CONSTANT double precision := 0.03 + 0.06;
    unit CONSTANT vector := l2_normalize(question);
    weighted CONSTANT halfvec := (unit || ARRAY[3.0 / 7, 0]::real[]::vector)::halfvec;
    unweighted CONSTANT halfvec := (unit || ARRAY[0, 0]::real[]::vector)::halfvec;
    -- Of each part: the resonant ones, the quiet ones. Without its index a part is sorted, and any size will do.
    pages CONSTANT double precision [] := ARRAY[
        coalesce(pages_of('idx_memory_keys_resonant'), 20000), coalesce(pages_of('idx_memory_keys_quiet'), 20000)
    ];
    are_most_resonant CONSTANT boolean := pages[1] > pages[2];
    -- What a memory that is not seen weighs at most; -9 where none of them can be in the answer.
    bound double precision [] := ARRAY[9, 9];
    are_read boolean [] := ARRAY[false, false];
    -- The first of a short answer may come as late as any of twenty, so the last of these is what a search goes on for.
    depth CONSTANT integer := greatest(most, 20);
    -- How many are looked at where a group of quiet ones could be in the answer: more where a threshold cuts that short, and
    -- a group is most of it.
    wide CONSTANT integer := greatest(
        20 + depth, least(1, sqrt(pages[2]) / 140) * CASE WHEN threshold > 0 THEN 340 ELSE 140 END
    );
    -- Of each search: by weight of the resonant, of the quiet; by similarity of the resonant, of the quiet.
    cursors refcursor [] := ARRAY[NULL, NULL, NULL, NULL];
    given integer [] := ARRAY[0, 0, 0, 0];
    reached double precision [] := ARRAY[9, 9, 9, 9];
    until double precision [] := ARRAY[-9, -9, -9, -9];
    wanted integer [] := ARRAY[
        40 + depth, 10, greatest(40 + depth, least(130, 2.6 * sqrt(pages[1]))), 10
    ];
    gaps CONSTANT double precision [] := ARRAY[
        greatest(0.065, 0.0115 * pages[1] ^ 0.2) + CASE WHEN are_most_resonant THEN 0.036 ELSE 0 END,
        greatest(0.065, 0.0115 * pages[2] ^ 0.2) + CASE WHEN threshold > 0 THEN 0.056 ELSE 0.036 END,
        0.1, 0.1
    ];
    opened refcursor;
    asked integer [];
    orders integer [] := '{}';  -- The search that each part is searched by.
    search integer;
    part integer;
    found record;
    seen near_key [] := '{}';
    members uuid [];
    above bigint;
    target double precision;
    is_wide_enough boolean := false;
    -- Of those above the threshold: what nearness adds to the nearest, and what the last of `depth` weighs by its key.
    nearest_weight double precision;
    last_weight double precision;
    least_weight double precision;
BEGIN
    is_proven := true;
    by_similarity := starts_by_similarity AND threshold > 0;
    IF cardinality(tiers) = 0 THEN
        above := pg_relation_size('memory_keys') / 8192 * 5;
    ELSE
        SELECT count(*) INTO above
        FROM (SELECT FROM memory_ranks AS r WHERE r.tier = ANY(tiers) LIMIT ranked_at_once + 1) AS few;
    END IF;
    IF above <= ranked_at_once THEN
        answers := find_by_ranking_all(question, tiers, threshold, most);
        RETURN;
    END IF;
    is_proven := false;
    IF cardinality(tiers) > 0 THEN
        FOR part IN 1..2 LOOP
            members := members_of(part = 1, tiers, 10 * ranked_at_once);
            CONTINUE WHEN members IS NULL;
            seen := seen || ARRAY(
                SELECT ROW(k.id, k.phi, -0.7 * (k.key <#> weighted), 0)::near_key
                FROM memory_keys AS k
                WHERE k.id = ANY(members) AND k.id NOT IN (SELECT n.id FROM unnest(seen) AS n)
            );
            bound[part] := -9;
            are_read[part] := true;
        END LOOP;
    END IF;
    orders[1] := CASE WHEN by_similarity THEN 3 ELSE 1 END;
    asked := orders;
    IF by_similarity THEN
        asked := asked || 1;
    ELSIF NOT are_most_resonant THEN
        asked := asked || 3;
        wanted[3] := depth;
    END IF;

    <<attempts>>
    FOR attempt IN 1..30 LOOP
        FOREACH search IN ARRAY asked LOOP
            part := CASE WHEN search IN (1, 3) THEN 1 ELSE 2 END;
            CONTINUE WHEN are_read[part];
            IF cursors[search] IS NULL THEN
                cursors[search] := keys_in_order(
                    part = 1, CASE WHEN search = part THEN weighted ELSE unweighted END, weighted, tiers
                );
            END IF;
            found := next_keys(cursors[search], wanted[search], until[search]);
            IF cardinality(tiers) > 0 OR given[2 * part + 2 - search] > 0 THEN
                seen := seen || ARRAY(
                    SELECT k FROM unnest(found.keys) AS k WHERE k.id NOT IN (SELECT n.id FROM unnest(seen) AS n)
                );
            ELSE
                seen := seen || found.keys;
            END IF;
            given[search] := given[search] + cardinality(found.keys);
            reached[search] := found.reached;
            IF found.is_at_end THEN
                EXIT attempts WHEN is_cut(part = 1, tiers, given[search]);
                reached[search] := -9;
                bound[part] := -9;
            ELSIF search = part THEN
                bound[part] := least(bound[part], error + 0.7 * found.reached + lag);
            ELSIF found.reached + error < threshold THEN
                bound[part] := -9;
            END IF;
        END LOOP;

        IF NOT is_wide_enough THEN
            SELECT count(*), max(n.weight - 0.06 * n.phi), (array_agg(n.weight ORDER BY n.weight DESC))[depth]
            INTO above, nearest_weight, last_weight
            FROM unnest(seen) AS n
            WHERE (n.weight - 0.06 * n.phi) / 0.7 >= threshold;
            asked := '{}';
            FOR part IN 1..2 LOOP
                search := orders[part];
                CONTINUE WHEN search IS NULL OR are_read[part] OR given[search] >= 1000 OR reached[search] = -9;
                target := CASE
                    WHEN search > part THEN threshold
                    WHEN last_weight IS NOT NULL THEN last_weight / 0.7
                    WHEN threshold > 0 THEN 9
                    ELSE -9
                END - gaps[search];
                IF reached[search] <= target THEN
                    -- The rest of a group of which one is found.
                    CONTINUE WHEN part = 1 OR threshold <= 0 OR above = 0 OR given[search] >= wide;
                    until[search] := -9;
                    wanted[search] := wide - given[search];
                ELSIF search > part AND reached[search] >= threshold AND given[search] >= 100 THEN
                    orders[part] := part;
                    wanted[part] := 40 + depth;
                ELSE
                    until[search] := target;
                    wanted[search] := given[search];
                END IF;
                asked := asked || orders[part];
            END LOOP;
            IF asked = '{}' AND orders[2] IS NULL THEN
                orders[2] := CASE WHEN orders[1] = 3 AND above < depth / 2 THEN 4 ELSE 2 END;
                IF above < depth OR orders[1] = 3 OR last_weight < nearest_weight + quiet_more THEN
                    wanted[2] := CASE WHEN threshold > 0 AND above = 0 THEN wide / 3 ELSE wide END;
                    wanted[4] := wanted[2];
                END IF;
                asked := orders[2:2];
            END IF;
            CONTINUE WHEN asked <> '{}';
            is_wide_enough := true;
        END IF;

        -- What weighs most by its key is ranked, and then what could weigh as much as the last of that.
        WITH near AS MATERIALIZED (
            SELECT n.id, n.phi, n.weight FROM unnest(seen) AS n
            WHERE (n.weight - 0.06 * n.phi) / 0.7 >= threshold - error
            ORDER BY n.weight DESC
        ),
        heaviest AS MATERIALIZED (
            SELECT
                s.*, n.weight + 0.06 * (s.resonance_phi - n.phi) AS weight,
                (n.weight - 0.06 * n.phi) / 0.7 AS similarity_estimated
            FROM (SELECT * FROM near LIMIT most + 8) AS n JOIN memory_states AS s ON s.id = n.id
            WHERE s.is_live AND (cardinality(tiers) = 0 OR s.tier = ANY(tiers))
        ),
        rest AS MATERIALIZED (
            SELECT * FROM (SELECT * FROM near OFFSET most + 8) AS n
            WHERE n.weight + lag + error >= coalesce((
                SELECT h.weight FROM heaviest AS h
                WHERE h.similarity_estimated >= threshold + error
                ORDER BY h.weight DESC
                OFFSET most - 1 LIMIT 1
            ), -1) - 2 * error
        ),
        candidate AS (
            SELECT * FROM rest
            UNION ALL
            SELECT k.id, k.phi, -0.7 * (k.key <#> weighted)
            FROM (SELECT id FROM memory_keys_due GROUP BY id) AS d JOIN memory_keys AS k ON k.id = d.id
            WHERE d.id NOT IN (SELECT id FROM rest UNION ALL SELECT id FROM heaviest)
        ),
        estimated AS MATERIALIZED (
            SELECT * FROM heaviest
            UNION ALL
            SELECT
                s.*, c.weight + 0.06 * (s.resonance_phi - c.phi) AS weight,
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
            (SELECT CASE count(*) WHEN most THEN min(structural_weight) ELSE -1 END FROM answer)
        INTO answers, least_weight;

        asked := '{}';
        FOR part IN 1..2 LOOP
            CONTINUE WHEN bound[part] < least_weight OR bound[part] = -9;
            IF threshold <= 0 OR (
                least_weight > -1
                AND least(0.7 * (reached[part + 2] + error - threshold), 0.05) > error + 0.7 * reached[part] + lag - least_weight
            ) THEN
                orders[part] := part;
            ELSE
                orders[part] := part + 2;
            END IF;
            search := orders[part];
            asked := asked || search;
            wanted[search] := 40 + greatest(depth, 3 * given[search]);
            until[search] := CASE
                WHEN search > part THEN threshold - gaps[search]
                ELSE least((least_weight - error - lag) / 0.7 - 0.0001, least_weight / 0.7 - gaps[search])
            END;
        END LOOP;
        is_proven := asked = '{}';
        EXIT WHEN is_proven;
    END LOOP;
    by_similarity := orders[1] = 3;
    FOREACH opened IN ARRAY cursors LOOP
        CONTINUE WHEN opened IS NULL;
        CLOSE opened;
    END LOOP;
    IF NOT is_proven THEN
        answers := find_by_ranking_all(question, tiers, threshold, most);
    END IF;
END
$$;

-- Nothing else calls these.
DROP FUNCTION first_keys(boolean, halfvec, halfvec, text [], integer, integer);
DROP FUNCTION breadth_of(bigint);
DROP FUNCTION whole_breadth_of(bigint);
