-- transaction: yes
-- The order of bootstrap is found by a function: whatever the tables' statistics say, it reads no tier further than its
-- limit, and no plan of it is made anew at each call.

-- The first of a tier by phi, as of the last folding, with those ranked anew that a recall names. A part of the next
-- function, whose settings hold here.
CREATE FUNCTION ids_by_phi(of_tier text, most bigint, recalled uuid []) RETURNS uuid [] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN ARRAY(
        SELECT e.id
        FROM (
            (
                SELECT r.id, r.resonance_phi, r.access_count, r.last_accessed
                FROM memory_ranks AS r
                WHERE r.tier = of_tier AND r.tier IN ('thread', 'stable') AND r.id NOT IN (SELECT unnest(recalled))
                ORDER BY r.resonance_phi DESC, r.access_count DESC, r.last_accessed DESC, r.id
                LIMIT most
            )
            UNION ALL
            SELECT s.id, s.resonance_phi, s.access_count, s.last_accessed
            FROM memory_states AS s
            WHERE s.id = ANY(recalled) AND s.is_live AND s.tier = of_tier
        ) AS e
        ORDER BY e.resonance_phi DESC, e.access_count DESC, e.last_accessed DESC, e.id
        LIMIT most
    );
END
$$;

-- Active by recency (all of them without an `active_most`), then thread and stable by phi in what `most` leaves. A memory
-- that no recall names is as its rank says; one that is named may be in any tier by now.
CREATE FUNCTION ids_of_bootstrap(
    most bigint, with_active boolean, active_most bigint, with_thread boolean, with_stable boolean
) RETURNS uuid [] LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    recalled CONSTANT uuid [] := ARRAY(SELECT DISTINCT unnest(r.memory_ids) FROM memory_recalls AS r);
    active uuid [] := '{}';
    remaining bigint;
BEGIN
    IF with_active THEN
        active := ARRAY(
            SELECT e.id
            FROM (
                (
                    SELECT r.id, r.last_accessed
                    FROM memory_ranks AS r
                    WHERE r.tier = 'active' AND r.id NOT IN (SELECT unnest(recalled))
                    ORDER BY r.last_accessed DESC, r.id
                    LIMIT active_most
                )
                UNION ALL
                SELECT s.id, s.last_accessed
                FROM memory_states AS s
                WHERE s.id = ANY(recalled) AND s.is_live AND s.tier = 'active'
            ) AS e
            ORDER BY e.last_accessed DESC, e.id
            LIMIT active_most
        );
    END IF;
    remaining := greatest(0, most - cardinality(active));
    RETURN active
        || ids_by_phi('thread', CASE WHEN with_thread THEN (7 * remaining + 9) / 10 ELSE 0 END, recalled)
        || ids_by_phi('stable', CASE WHEN with_stable THEN 3 * remaining / 10 ELSE 0 END, recalled);
END
$$;
