"""Fix 5: `loadBootstrap`, one statement for three tiers."""

_HEAD = """
    WITH tier_limits AS (
        SELECT 999999::int AS active_limit, 35::int AS thread_limit, 15::int AS stable_limit
    ),
    ranked_memories AS (
        SELECT
            id, content, tier, category, tags, source,
            access_count, resonance_phi, is_catalyst, created_at,
            ROW_NUMBER() OVER (
                PARTITION BY tier
                ORDER BY
                    {rank} DESC
            ) AS rn
        FROM memories
        WHERE deleted_at IS NULL
            AND tier IN ('active', 'thread', 'stable')
    )
    SELECT
        id, content, tier, category, tags, source,
        access_count, resonance_phi, is_catalyst, created_at
    FROM ranked_memories, tier_limits
    WHERE
        (tier = 'active' {include_active} AND rn <= tier_limits.active_limit) OR
        (tier = 'thread' {include_thread} AND rn <= tier_limits.thread_limit) OR
        (tier = 'stable' {include_stable} AND rn <= tier_limits.stable_limit)
    ORDER BY
        CASE tier
            WHEN 'active' THEN 1
            WHEN 'thread' THEN 2
            WHEN 'stable' THEN 3
        END,
        resonance_phi DESC
"""
_MIXED_RANK = """CASE tier
                        WHEN 'active' THEN last_accessed
                        ELSE resonance_phi
                    END"""
_NUMERIC_RANK = """CASE tier
                        WHEN 'active' THEN extract(epoch FROM last_accessed)::double precision
                        ELSE resonance_phi
                    END"""
_NAMES = {f"include_{tier}": f"AND include{tier.title()}" for tier in ("active", "thread", "stable")}
_NONE = dict.fromkeys(_NAMES, "")

AS_WRITTEN = _HEAD.format(rank=_MIXED_RANK, **_NAMES)
WITH_RANKS_OF_ONE_TYPE = _HEAD.format(rank=_NUMERIC_RANK, **_NAMES)
THAT_RUNS = _HEAD.format(rank=_NUMERIC_RANK, **_NONE)
