"""Says what section 8 of the contract compares after a drain, memories by their content, since ids differ."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from anima.model import Memory


class Association(NamedTuple):
    co_occurrence_count: int
    strength: float
    conversation_contexts: frozenset[str]
    last_co_occurred_at: datetime


class AuditedPromotion(NamedTuple):
    content: str
    from_tier: str
    to_tier: str
    reason: str
    access_count_at_promotion: int


class LoggedAccess(NamedTuple):
    content: str
    accessed_at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """Of live memories only. Promotions and accesses are in the order in which they were written."""

    memories: Collection[Memory]
    associations: Mapping[frozenset[str], Association]
    promotions: Collection[AuditedPromotion]
    accesses: Collection[LoggedAccess]
