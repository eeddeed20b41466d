"""What the contract accepts as input, at its limits, and how a refusal reads."""

from typing import Any

import pytest

from anima.errors import InvalidInput
from anima.model import BootstrapRequest, Input, NewMemory, Query, Tier

VALID: dict[type[Input], dict[str, Any]] = {
    NewMemory: {"content": "a"},
    Query: {"query": "a"},
    BootstrapRequest: {"conversation_id": "a"},
}

LIMITS = [
    (NewMemory, "content", "a", ""),
    (NewMemory, "content", "a" * 50_000, "a" * 50_001),
    (NewMemory, "content", "🧠" * 50_000, "🧠" * 50_001),
    (NewMemory, "category", "a" * 100, "a" * 101),
    (NewMemory, "tags", ["a"] * 20, ["a"] * 21),
    (NewMemory, "tags", ["a"], [""]),
    (NewMemory, "tags", ["a" * 50], ["a" * 51]),
    (NewMemory, "source", "a" * 100, "a" * 101),
    (NewMemory, "is_catalyst", True, "yes"),
    (Query, "query", "a", ""),
    (Query, "query", "a" * 5_000, "a" * 5_001),
    (Query, "limit", 1, 0),
    (Query, "limit", 100, 101),
    (Query, "limit", 2, True),
    (Query, "similarity_threshold", 0, -0.001),
    (Query, "similarity_threshold", 1, 1.001),
    (Query, "similarity_threshold", 0.5, float("nan")),
    (Query, "similarity_threshold", 0.5, "0.5"),
    (Query, "similarity_threshold", 0.5, True),
    (Query, "tiers", ["network"], ["archive"]),
    (Query, "conversation_id", "a", ""),
    (Query, "conversation_id", "a" * 200, "a" * 201),
    (BootstrapRequest, "conversation_id", "test-1", ""),
    (BootstrapRequest, "limit", 1, 0),
    (BootstrapRequest, "limit", 200, 201),
    (BootstrapRequest, "active_limit", 0, -1),
]

TEXTS = [
    (NewMemory, "content"),
    (NewMemory, "category"),
    (NewMemory, "source"),
    (NewMemory, "tags"),
    (Query, "query"),
    (Query, "conversation_id"),
    (BootstrapRequest, "conversation_id"),
]

OPTIONAL = [(kind, name) for kind in VALID for name, field in kind.model_fields.items() if not field.is_required()]


def parsed(kind: type[Input], **fields: object) -> Input:
    return kind.parse(**VALID[kind] | fields)


@pytest.mark.parametrize(("kind", "name", "accepted", "refused"), LIMITS)
def test_a_field_is_accepted_up_to_its_limit_and_named_when_beyond(
    kind: type[Input], name: str, accepted: object, refused: object
) -> None:
    parsed(kind, **{name: accepted})
    with pytest.raises(InvalidInput, match=rf"{kind.__name__} is not valid: {name}"):
        parsed(kind, **{name: refused})


@pytest.mark.parametrize("unstorable", ["a\x00b", "a\ud800b", "\udfff"])
@pytest.mark.parametrize(("kind", "name"), TEXTS)
def test_a_text_that_postgresql_cannot_hold_is_refused(kind: type[Input], name: str, unstorable: str) -> None:
    with pytest.raises(InvalidInput, match=rf"{name}.*must not contain"):
        parsed(kind, **{name: [unstorable] if name == "tags" else unstorable})


@pytest.mark.parametrize(("kind", "name"), OPTIONAL)
def test_null_means_absent(kind: type[Input], name: str) -> None:
    assert parsed(kind, **{name: None}) == parsed(kind)


@pytest.mark.parametrize("kind", VALID)
@pytest.mark.parametrize("unknown", ["colour", "cls", "self", "model_config"])
def test_unknown_fields_are_ignored(kind: type[Input], unknown: str) -> None:
    assert parsed(kind, **{unknown: 1}) == parsed(kind)


def test_camel_case_is_accepted_as_well() -> None:
    assert parsed(NewMemory, isCatalyst=True) == parsed(NewMemory, is_catalyst=True)
    assert parsed(Query, similarityThreshold=0.2, conversationId="c") == parsed(
        Query, similarity_threshold=0.2, conversation_id="c"
    )
    assert BootstrapRequest.parse(
        conversationId="c", includeActive=False, includeThread=False, includeStable=False, activeLimit=1
    ) == BootstrapRequest.parse(
        conversation_id="c", include_active=False, include_thread=False, include_stable=False, active_limit=1
    )


def test_a_refusal_names_every_field_and_only_those() -> None:
    with pytest.raises(InvalidInput) as refusal:
        Query.parse(query="", limit=0, similarity_threshold=0.5)
    assert "query" in str(refusal.value)
    assert "limit" in str(refusal.value)
    assert "similarity_threshold" not in str(refusal.value)


def test_the_defaults_are_those_of_the_contract() -> None:
    assert (Query.parse(query="a").limit, Query.parse(query="a").similarity_threshold) == (20, 0.5)
    assert Query.parse(query="a").tiers == ()
    assert Query.parse(query="a", tiers=["active"]).tiers == (Tier.ACTIVE,)
    request = BootstrapRequest.parse(conversation_id="a")
    assert (request.limit, request.active_limit) == (50, None)
    assert request.include_active
    assert request.include_thread
    assert request.include_stable
    assert not NewMemory.parse(content="a").is_catalyst
