-- transaction: yes
-- A bootstrap reads the states of what recalls name once, and not for each of the three tiers. `ids_by_phi` stays, for
-- bootstraps that are under way.

-- Active by recency (all of them without an `active_most`), then thread and stable by phi in what `most` leaves. A memory
-- that no recall names is as its rank says; one that is named may be in any tier by now.
CREATE OR REPLACE FUNCTION ids_of_bootstrap(
    most bigint, with_active boolean, active_most bigint, with_thread boolean, with_stable boolean
) RETURNS uuid [] LANGUAGE plpgsql STABLE
SET enable_seqscan = off SET enable_bitmapscan = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    recalled CONSTANT uuid [] := ARRAY(SELECT DISTINCT unnest(r.memory_ids) FROM memory_recalls AS r);
BEGIN
    RETURN (
        WITH known AS MATERIALIZED (
            SELECT s.id, s.tier, s.resonance_phi, s.access_count, s.last_accessed
            FROM memory_states AS s
            WHERE s.id = ANY(recalled) AND s.is_live
        ),
        active AS MATERIALIZED (
            SELECT e.id, e.last_accessed
            FROM (
                (
                    SELECT r.id, r.last_accessed
                    FROM memory_ranks AS r
                    WHERE with_active AND r.tier = 'active' AND r.id NOT IN (SELECT unnest(recalled))
                    ORDER BY r.last_accessed DESC, r.id
                    LIMIT active_most
                )
                UNION ALL
                SELECT k.id, k.last_accessed FROM known AS k WHERE with_active AND k.tier = 'active'
            ) AS e
            ORDER BY e.last_accessed DESC, e.id
            LIMIT active_most
        ),
        remaining AS MATERIALIZED (
            SELECT greatest(0, most - count(*)) AS number FROM active
        ),
        thread AS (
            SELECT e.*
            FROM (
                (
                    SELECT r.id, r.resonance_phi, r.access_count, r.last_accessed
                    FROM memory_ranks AS r
                    WHERE with_thread AND r.tier = 'thread' AND r.id NOT IN (SELECT unnest(recalled))
                    ORDER BY r.resonance_phi DESC, r.access_count DESC, r.last_accessed DESC, r.id
                    LIMIT (SELECT (7 * number + 9) / 10 FROM remaining)
                )
                UNION ALL
                SELECT k.id, k.resonance_phi, k.access_count, k.last_accessed
                FROM known AS k
                WHERE with_thread AND k.tier = 'thread'
            ) AS e
            ORDER BY e.resonance_phi DESC, e.access_count DESC, e.last_accessed DESC, e.id
            LIMIT (SELECT (7 * number + 9) / 10 FROM remaining)
        ),
        stable AS (
            SELECT e.*
            FROM (
                (
                    SELECT r.id, r.resonance_phi, r.access_count, r.last_accessed
                    FROM memory_ranks AS r
                    WHERE with_stable AND r.tier = 'stable' AND r.id NOT IN (SELECT unnest(recalled))
                    ORDER BY r.resonance_phi DESC, r.access_count DESC, r.last_accessed DESC, r.id
                    LIMIT (SELECT 3 * number / 10 FROM remaining)
                )
                UNION ALL
                SELECT k.id, k.resonance_phi, k.access_count, k.last_accessed
                FROM known AS k
                WHERE with_stable AND k.tier = 'stable'
            ) AS e
            ORDER BY e.resonance_phi DESC, e.access_count DESC, e.last_accessed DESC, e.id
            LIMIT (SELECT 3 * number / 10 FROM remaining)
        )
        SELECT
            ARRAY(SELECT id FROM active ORDER BY last_accessed DESC, id)
            || ARRAY(SELECT id FROM thread ORDER BY resonance_phi DESC, access_count DESC, last_accessed DESC, id)
            || ARRAY(SELECT id FROM stable ORDER BY resonance_phi DESC, access_count DESC, last_accessed DESC, id)
    );
END
$$;
