-- transaction: yes
-- squawk-ignore-file ban-drop-function
-- The resonant memories are also searched by similarity, narrowly: what weighs much by being near lies among those of a high
-- phi where a search by weight, however broad, seldom comes. So each search is narrower than since 018 and finds more. And
-- an index is not asked for a tier of which few memories are in it: they are read.

-- As 014 and 016 have them, from a size that is asked once, and narrower for fewer memories. Null where there is no index.
CREATE FUNCTION pages_of(index text) RETURNS bigint LANGUAGE sql STABLE RETURN pg_relation_size(to_regclass(index)) / 8192;

CREATE FUNCTION breadth_of(pages bigint) RETURNS integer LANGUAGE sql IMMUTABLE RETURN
least(300, greatest(60, coalesce((2.4 * sqrt(pages))::integer, 300)));

CREATE FUNCTION whole_breadth_of(pages bigint) RETURNS integer LANGUAGE sql IMMUTABLE RETURN
least(1000, greatest(100, coalesce((0.53 * pages::double precision ^ 0.73)::integer, 1000)));

-- As 009 has it for many memories, from the row that is there.
CREATE OR REPLACE FUNCTION mirror_new_memory() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO memory_states
    VALUES (
        NEW.id, NEW.tier, NEW.tier_last_updated, NEW.access_count, NEW.last_accessed, NEW.accessed_in_conversation_ids,
        NEW.resonance_phi, NEW.resonance_phi, NEW.updated_at, NEW.deleted_at IS NULL
    );
    IF NEW.deleted_at IS NULL THEN
        INSERT INTO memory_keys (id, phi, key) VALUES (NEW.id, NEW.resonance_phi, key_of(NEW.embedding, NEW.resonance_phi));
        INSERT INTO memory_ranks (id, tier, last_accessed, resonance_phi, access_count)
        VALUES (NEW.id, NEW.tier, NEW.last_accessed, NEW.resonance_phi, NEW.access_count);
    END IF;
    RETURN NULL;
END
$$;

-- As 009 has it, and also where phi falls out of what the index of the resonant memories is for: then the ranks, which tell
-- phi and no key, would not tell of all that are in it.
CREATE OR REPLACE TRIGGER memory_states_note_key_due AFTER UPDATE OF resonance_phi ON memory_states FOR EACH ROW
WHEN (
    NEW.resonance_phi > NEW.key_phi + 0.5 AND OLD.resonance_phi <= OLD.key_phi + 0.5
    OR NEW.resonance_phi <= 0.5 AND NEW.key_phi > 0.5
)
EXECUTE FUNCTION note_key_due();

-- As 013 has it, and keys go back as well, to the phi that fell.
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
    SET phi = fitting.phi, key = key_of(m.embedding, fitting.phi)
    FROM
        (
            SELECT s.id, CASE WHEN s.resonance_phi > 0.5 THEN least(5, s.resonance_phi + 0.5) ELSE s.resonance_phi END AS phi
            FROM memory_states AS s
            WHERE s.id = ANY(ids)
        ) AS fitting
        JOIN memories AS m ON m.id = fitting.id
    WHERE k.id = fitting.id AND (k.phi <= fitting.phi - 0.5 OR k.phi > 0.5 AND fitting.phi <= 0.5);
    ids := ARRAY(SELECT s.id FROM memory_states AS s WHERE s.id = ANY(due) FOR UPDATE SKIP LOCKED);
    UPDATE memory_states AS s SET key_phi = k.phi FROM memory_keys AS k WHERE s.id = ANY(ids) AND k.id = s.id;
    DELETE FROM memory_keys_due AS d
    WHERE d.id = ANY(due) AND NOT EXISTS (
        SELECT FROM memory_states AS s
        WHERE s.id = d.id AND s.is_live
            AND (s.resonance_phi > s.key_phi + 0.5 OR s.resonance_phi <= 0.5 AND s.key_phi > 0.5)
    );
    RETURN cardinality(ids);
END
$$;

-- As 010 has it, by joins alone: a tier of many memories was looked up in a list for each memory that there is.
CREATE OR REPLACE FUNCTION find_by_ranking_all(question vector, tiers text [], threshold double precision, most integer)
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
                FROM
                    (
                        SELECT * FROM memory_states WHERE cardinality(tiers) = 0
                        UNION ALL
                        SELECT o.*
                        FROM
                            (
                                SELECT r.id FROM memory_ranks AS r WHERE r.tier = ANY(tiers)
                                UNION
                                SELECT unnest(r.memory_ids) FROM memory_recalls AS r WHERE cardinality(tiers) > 0
                            ) AS named
                            JOIN memory_states AS o ON o.id = named.id
                        WHERE o.tier = ANY(tiers)
                    ) AS s
                    JOIN memories AS m ON m.id = s.id
                WHERE s.is_live
                OFFSET 0  -- keeps the planner from computing the distance wherever it is named
            ) AS compared
            WHERE similarity >= threshold
            ORDER BY structural_weight DESC, resonance_phi DESC, id
            LIMIT most
        ) AS first
    );
END
$$;

-- The live memories of these tiers that an index has, or more; null where they are not known to be at most so many. What a
-- recall names may be in any tier by now, and what is due is ranked by every search. A resonant key has a phi above 0.5 or is
-- due; a quiet key's phi is 1 at most, or is due. Of the tiers that most quiet memories are in, there is no index by phi.
CREATE FUNCTION members_of(are_resonant boolean, tiers text [], most integer) RETURNS uuid [] LANGUAGE plpgsql STABLE AS $$
DECLARE
    members uuid [];
    recalled uuid [];
BEGIN
    IF most < 0 OR NOT EXISTS (
        SELECT FROM pg_index AS i WHERE i.indexrelid = to_regclass('memory_ranks_resonant') AND i.indisvalid
    ) THEN
        RETURN NULL;
    END IF;
    IF are_resonant THEN
        members := ARRAY(
            SELECT r.id FROM memory_ranks AS r WHERE r.tier = ANY(tiers) AND r.resonance_phi > 0.5 LIMIT most + 1
        );
    ELSIF tiers <@ ARRAY['thread', 'stable'] THEN
        members := ARRAY(
            SELECT r.id
            FROM memory_ranks AS r
            WHERE r.tier = ANY(tiers) AND r.tier IN ('thread', 'stable') AND r.resonance_phi <= 1
            LIMIT most + 1
        );
    ELSE
        RETURN NULL;
    END IF;
    recalled := ARRAY(SELECT DISTINCT unnest(r.memory_ids) FROM memory_recalls AS r LIMIT most + 1);
    IF greatest(cardinality(members), cardinality(recalled)) > most THEN
        RETURN NULL;
    END IF;
    RETURN members || ARRAY(SELECT s.id FROM memory_states AS s WHERE s.id = ANY(recalled) AND s.is_live AND s.tier = ANY(tiers));
END
$$;

-- The first by structural weight, in order, and whether the indexes proved that no other memory is among them.
--
-- `key <#> ordering` is minus what an index orders by: the indexed weight / 0.7, or the similarity. A half-precision
-- product is off by less than 0.0016 of it, and phi is at most 0.5 above the phi of the key, which is 0.03 of weight; the
-- few that are further above stand in `memory_keys_due` and are ranked too. Hence the proofs, of either index by itself:
-- with a full answer nothing that it has not given reaches the last of it, or nothing of it reaches the threshold. An
-- answer that the threshold cuts short is proven by similarity only, since far down in the order of weight an index misses
-- more. An index that has proven nothing is asked for more, in the order that came closer to a proof; at last all are ranked.
--
-- Of what was looked at few are ranked at first, since a state is read for each: the proof takes the last of them for the
-- first that was not looked at, and more are ranked where this stands in its way. The nearest few are found by a narrow
-- search (`ef_search`), more than that by a broad one. Of the quiet memories few reach an answer that the resonant ones
-- can fill: they are searched as broadly as their share of it is worth. The resonant ones, of which many below the
-- threshold may weigh more than those above it, may start by similarity where that proved the last answer, and so do
-- the quiet ones where few of the resonant ones are above it. Where a quiet memory could take the last place of the resonant
-- ones, being as near as the nearest of them or a little nearer, the quiet ones are searched broadly at once: a narrow
-- search may come past none of a whole group of them, and what it gives instead would prove that they are not there. Most
-- answers are of the resonant ones, which are fewer. A search by weight goes to those of the highest phi, and past groups
-- of a lower one that are so near that they weigh more: these are what a narrow search by similarity finds first. Where most
-- memories are resonant, phi tells few of them apart, and they are searched as broadly as the quiet ones.
CREATE OR REPLACE FUNCTION find_memories(
    question vector, tiers text [], threshold double precision, most integer, ranked_at_once integer,
    starts_by_similarity boolean, OUT answers found_memory [], OUT is_proven boolean, OUT by_similarity boolean
) LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
SET hnsw.ef_search = 300 SET hnsw.iterative_scan = relaxed_order AS $$
DECLARE
    error CONSTANT double precision := 0.0016;
    lag CONSTANT double precision := 0.03;
    -- What phi adds to the weight of a quiet memory at most, and 0.086 of similarity.
    quiet_more CONSTANT double precision := 0.03 + 0.06;
    unit CONSTANT vector := l2_normalize(question);
    weighted CONSTANT halfvec := (unit || ARRAY[3.0 / 7, 0]::real[]::vector)::halfvec;
    unweighted CONSTANT halfvec := (unit || ARRAY[0, 0]::real[]::vector)::halfvec;
    -- Of each: the resonant ones, the quiet ones.
    pages CONSTANT bigint [] := ARRAY[pages_of('idx_memory_keys_resonant'), pages_of('idx_memory_keys_quiet')];
    broad CONSTANT integer [] := ARRAY[breadth_of(pages[1]), breadth_of(pages[2])];
    -- Where nearness decides: of the quiet ones where all of the answer comes from them, and of the resonant ones where most
    -- memories are among them, so that phi tells few apart.
    whole CONSTANT integer [] := ARRAY[whole_breadth_of(pages[1]), whole_breadth_of(pages[2])];
    broad_by_similarity CONSTANT integer := least(600, 4 * greatest(broad[1], broad[2]));
    are_most_resonant CONSTANT boolean := whole[1] > whole[2];
    resonant CONSTANT integer := CASE
        WHEN are_most_resonant THEN greatest(whole[1], 2 * broad[1])
        ELSE least(240, 2 * broad[1])
    END;
    narrow CONSTANT integer := 10 + most / 2;
    -- An answer that a threshold cuts short misses more where a whole group of them is missed.
    searched_again_from CONSTANT double precision := CASE WHEN threshold > 0 THEN 1.5 ELSE 2.1 END;
    goes_by_similarity boolean [] := ARRAY[starts_by_similarity AND threshold > 0, false];
    -- What a search has looked at costs little more to be given, and a second search as much as the first.
    wanted_by_weight integer [] := ARRAY[greatest(40 + 3 * most, least(240, resonant) * 3 / 5, resonant / 3), 10];
    wanted_by_similarity integer [] := ARRAY[40 + 2 * most, 40 + 2 * most];
    breadth_by_weight integer [] := ARRAY[resonant, 0];
    breadth_by_similarity integer [] := ARRAY[CASE WHEN are_most_resonant THEN broad[1] ELSE 100 END, 100];
    -- What a memory that the index has not given weighs at most; -9 where none of them can be in the answer.
    bound double precision [] := ARRAY[9, 9];
    -- How far the index was from a proof when it was last asked in this order.
    gap_by_weight double precision [] := ARRAY[0, 0];
    gap_by_similarity double precision [] := ARRAY[0.05, 0.05];
    members uuid [];
    from_part bigint [];
    asked integer [] := ARRAY[1, 2];
    part integer;
    worth integer;
    found record;
    seen uuid [] := '{}';
    seen_phi double precision [] := '{}';
    seen_weight double precision [] := '{}';
    above bigint;
    ranked_most integer := 40 + 2 * most;
    bound_ranked double precision;
    -- Of the resonant ones above the threshold: what nearness adds to the nearest, and the weight of the last of an answer.
    nearest_weight double precision;
    last_weight double precision;
    least_weight double precision;
BEGIN
    is_proven := true;
    IF cardinality(tiers) = 0 THEN
        above := pg_relation_size('memory_keys') / 8192 * 5;
    ELSE
        SELECT count(*) INTO above
        FROM (SELECT FROM memory_ranks AS r WHERE r.tier = ANY(tiers) LIMIT ranked_at_once + 1) AS few;
    END IF;
    IF above <= ranked_at_once THEN
        answers := find_by_ranking_all(question, tiers, threshold, most);
        by_similarity := goes_by_similarity[1];
        RETURN;
    END IF;
    IF cardinality(tiers) > 0 THEN
        FOR part IN 1..2 LOOP
            members := members_of(part = 1, tiers, 10 * ranked_at_once);
            CONTINUE WHEN members IS NULL;
            SELECT seen || array_agg(k.id), seen_phi || array_agg(k.phi), seen_weight || array_agg(-0.7 * (k.key <#> weighted))
            INTO seen, seen_phi, seen_weight
            FROM memory_keys AS k
            WHERE k.id = ANY(members);
            bound[part] := -9;
            breadth_by_weight[part] := 1000;
            breadth_by_similarity[part] := 1000;
            asked := array_remove(asked, part);
        END LOOP;
    END IF;

    <<attempts>>
    FOR attempt IN 1..9 LOOP
        FOREACH part IN ARRAY asked LOOP
            IF attempt = 1 AND part = 2 THEN
                SELECT count(*), max(n.weight - 0.06 * n.phi), (array_agg(n.weight ORDER BY n.weight DESC))[most]
                INTO above, nearest_weight, last_weight
                FROM (SELECT DISTINCT u.* FROM unnest(seen, seen_phi, seen_weight) AS u (id, phi, weight)) AS n
                WHERE (n.weight - 0.06 * n.phi) / 0.7 >= threshold;
                goes_by_similarity[2] := goes_by_similarity[1] AND above < most / 2;
                IF above < most OR goes_by_similarity[1] OR last_weight < nearest_weight + quiet_more THEN
                    breadth_by_weight[2] := CASE
                        WHEN above < most / 2 AND threshold <= 0 THEN greatest(broad[2], whole[2])
                        ELSE broad[2] / 2
                    END;
                    wanted_by_weight[2] := greatest(40 + 2 * most, breadth_by_weight[2] / 4);
                END IF;
            END IF;
            IF goes_by_similarity[part] THEN
                found := first_keys(
                    part = 1, unweighted, weighted, tiers, wanted_by_similarity[part], breadth_by_similarity[part]
                );
                IF found.reached + error < threshold THEN
                    bound[part] := -9;
                END IF;
                gap_by_similarity[part] := 0.7 * (found.reached + error - threshold);
            ELSE
                found := first_keys(
                    part = 1, weighted, weighted, tiers, wanted_by_weight[part],
                    greatest(least(300, wanted_by_weight[part]), breadth_by_weight[part])
                );
                bound[part] := least(
                    bound[part], CASE found.reached WHEN -9 THEN -9 ELSE error + 0.7 * found.reached + lag END
                );
                IF attempt = 1 AND part = 1 THEN
                    EXIT attempts WHEN found.is_cut;
                    seen := seen || found.ids;
                    seen_phi := seen_phi || found.phis;
                    seen_weight := seen_weight || found.weights;
                    found := first_keys(true, unweighted, weighted, tiers, narrow, narrow);
                END IF;
            END IF;
            EXIT attempts WHEN found.is_cut;
            seen := seen || found.ids;
            seen_phi := seen_phi || found.phis;
            seen_weight := seen_weight || found.weights;
        END LOOP;

        WITH ranked AS MATERIALIZED (
            SELECT DISTINCT weight, id, phi FROM unnest(seen, seen_phi, seen_weight) AS n (id, phi, weight)
            WHERE (weight - 0.06 * phi) / 0.7 >= threshold - error
            ORDER BY weight DESC
            LIMIT ranked_most
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
            (SELECT CASE count(*) WHEN most THEN min(structural_weight) ELSE -1 END FROM answer),
            (SELECT ARRAY[count(*) FILTER (WHERE phi > 0.5), count(*) FILTER (WHERE phi <= 0.5)] FROM answer),
            (SELECT CASE count(*) WHEN ranked_most THEN error + min(weight) + lag ELSE -9 END FROM ranked)
        INTO answers, least_weight, from_part, bound_ranked;

        -- Who has more of the answer is looked for as broadly as that is worth.
        asked := '{}';
        FOR part IN 1..2 LOOP
            IF goes_by_similarity[part] THEN
                worth := CASE WHEN from_part[1] + from_part[part] > 0 AND bound[part] = -9 THEN broad_by_similarity ELSE 0 END;
                IF breadth_by_similarity[part] < worth THEN
                    breadth_by_similarity[part] := worth;
                    asked := asked || part;
                END IF;
            ELSIF part = 2 THEN
                worth := CASE
                    WHEN from_part[2] > most / 8 THEN greatest(broad[2], whole[2] * from_part[2] / most)
                    WHEN from_part[2] > 0 THEN broad[2] / 2
                    ELSE 0
                END;
                IF searched_again_from * breadth_by_weight[2] < worth THEN
                    breadth_by_weight[2] := worth;
                    wanted_by_weight[2] := greatest(wanted_by_weight[2], 40 + 2 * most);
                    asked := asked || part;
                END IF;
            END IF;
        END LOOP;
        CONTINUE WHEN asked <> '{}';

        FOR part IN 1..2 LOOP
            CONTINUE WHEN bound[part] < least_weight OR bound[part] = -9;
            asked := asked || part;
            IF goes_by_similarity[part] THEN
                wanted_by_similarity[part] := wanted_by_similarity[part] * 4;
                breadth_by_similarity[part] := broad_by_similarity;
            ELSE
                gap_by_weight[part] := bound[part] - least_weight;
                wanted_by_weight[part] := wanted_by_weight[part] * CASE attempt WHEN 1 THEN 2 ELSE 4 END;
                breadth_by_weight[part] := greatest(breadth_by_weight[part], broad[part]);
            END IF;
            goes_by_similarity[part] := threshold > 0
                AND (least_weight = -1 OR gap_by_similarity[part] <= gap_by_weight[part]);
        END LOOP;
        IF asked = '{}' AND (bound_ranked < least_weight OR bound_ranked = -9) THEN
            by_similarity := goes_by_similarity[1];
            RETURN;
        END IF;
        ranked_most := ranked_most * 4;
    END LOOP;
    is_proven := false;
    by_similarity := goes_by_similarity[1];
    answers := find_by_ranking_all(question, tiers, threshold, most);
END
$$;

-- Nothing else calls these.
DROP FUNCTION breadth_of(text);
DROP FUNCTION whole_breadth_of(text);
