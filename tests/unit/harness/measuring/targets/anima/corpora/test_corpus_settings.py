"""What a scenario's `[corpus]` may say."""

import pytest
from pydantic import TypeAdapter, ValidationError

from harness.measuring.targets.anima.corpora import CorpusSection
from harness.measuring.targets.anima.corpora.protocol import CorpusSettings, TierShares

SECTION: TypeAdapter[CorpusSettings] = TypeAdapter(CorpusSection)


def test_tiers_that_are_not_named_hold_nothing() -> None:
    corpus = SECTION.validate_python({"kind": "generated", "size": 10, "tiers": {"stable": 1}})
    assert corpus.tiers.assign(3) == ("stable",) * 3


def test_most_memories_are_active_unless_the_scenario_says_otherwise() -> None:
    tiers = SECTION.validate_python({"kind": "generated", "size": 10}).tiers.assign(1000)
    assert [tiers.count(tier) for tier in ("active", "thread", "stable", "network")] == [850, 100, 50, 0]


@pytest.mark.parametrize("active", [0.5, 0.999])
def test_shares_that_are_no_whole_are_refused_with_their_sum(active: float) -> None:
    with pytest.raises(ValidationError, match=f"add up to {active:g}; change them"):
        TierShares(active=active)


def test_shares_may_round_as_floats_do() -> None:
    assert TierShares(active=0.1, thread=0.2, stable=0.3, network=0.4).assign(1) == ("network",)


@pytest.mark.parametrize(
    ("section", "complaint"),
    [
        ({"kind": "generatd", "size": 1}, "generatd"),
        ({"size": 1}, "kind"),
        ({"kind": "generated"}, "size"),
        ({"kind": "generated", "size": 0}, "size"),
        ({"kind": "generated", "size": 1, "sed": 1}, "sed"),
        ({"kind": "generated", "size": 1, "near_duplicate_rate": 0.6}, "near_duplicate_rate"),
        ({"kind": "generated", "size": 1, "catalyst_rate": float("nan")}, "catalyst_rate"),
        ({"kind": "generated", "size": 1, "tiers": {"activ": 1}}, "activ"),
        ({"kind": "file", "size": 1}, "memories_path"),
    ],
)
def test_what_cannot_be_followed_is_refused_by_name(section: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        SECTION.validate_python(section)


def test_editors_get_a_schema_of_every_kind() -> None:
    kinds = SECTION.json_schema()["discriminator"]["mapping"]
    assert set(kinds) == {"generated", "file"}
