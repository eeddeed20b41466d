"""The formulas of the contract, at the values where they change."""

import hashlib
import math
from datetime import UTC, datetime
from fractions import Fraction
from uuid import UUID

import pytest

from anima.model import (
    Bootstrap,
    Memory,
    Tier,
    bootstrap_shares,
    content_hash,
    merge_phi_step,
    promoted_tier,
)

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MEMORY = Memory(
    id=UUID(int=1),
    content="a",
    content_hash=content_hash("a"),
    tier=Tier.ACTIVE,
    tier_last_updated=NOON,
    access_count=0,
    last_accessed=NOON,
    accessed_in_conversation_ids=(),
    category=None,
    tags=(),
    source=None,
    resonance_phi=0.0,
    is_catalyst=False,
    metadata={},
    created_at=NOON,
    updated_at=NOON,
)


@pytest.mark.parametrize("content", ["a", "Grüße", "記憶", "🧠", "a\nb\t"])
def test_content_is_hashed_as_the_sha_256_of_its_utf_8(content: str) -> None:
    assert content_hash(content) == hashlib.sha256(content.encode("utf-8")).hexdigest()


@pytest.mark.parametrize(
    ("tier", "access_count", "after"),
    [
        (Tier.ACTIVE, 4, None),
        (Tier.ACTIVE, 5, Tier.THREAD),
        (Tier.ACTIVE, 20, Tier.THREAD),  # One step per access, however many it is late.
        (Tier.THREAD, 5, None),
        (Tier.THREAD, 19, None),
        (Tier.THREAD, 20, Tier.STABLE),
        (Tier.STABLE, 1_000, None),
        (Tier.NETWORK, 1_000, None),
    ],
)
def test_a_tier_is_left_at_its_threshold_and_one_step_at_a_time(
    tier: Tier, access_count: int, after: Tier | None
) -> None:
    assert promoted_tier(tier, access_count) == after


@pytest.mark.parametrize(
    ("similarity", "was_catalyst", "step"),
    [
        (0.95, False, 0.09),
        (math.nextafter(0.98, 0), False, 0.09),
        (0.98, False, 0.1),
        (1.0, False, 0.1),
        (0.95, True, 0.9),
        (math.nextafter(0.98, 0), True, 0.9),
        (0.98, True, 1.0),
    ],
)
def test_a_merge_adds_more_phi_from_098_on_and_ten_times_as_much_for_a_catalyst(
    similarity: float, was_catalyst: bool, step: float
) -> None:
    assert merge_phi_step(similarity, was_catalyst=was_catalyst) == pytest.approx(step, abs=1e-15)


def test_bootstrap_shares_are_exact_for_every_limit_and_number_of_active_memories() -> None:
    for limit in range(1, 201):
        for active in range(limit + 2):
            remaining = max(0, limit - active)
            assert bootstrap_shares(limit, active) == (
                math.ceil(Fraction(7, 10) * remaining),
                math.floor(Fraction(3, 10) * remaining),
            )


def test_distribution_counts_each_tier_and_all() -> None:
    assert Bootstrap(active=(MEMORY, MEMORY), thread=(MEMORY,), stable=()).distribution == {
        "active": 2,
        "thread": 1,
        "stable": 0,
        "total": 3,
    }
