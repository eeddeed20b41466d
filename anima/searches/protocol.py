"""The axis of how candidates are found and ranked."""

from typing import Final, Protocol

from anima.database import Session
from anima.embeddings.protocol import Vector
from anima.model import FoundMemory, Query

RANKED_AT_ONCE: Final = 1_000
"""An augmented search ranks so many memories instead of asking its index: that takes less time."""


class Search(Protocol):
    """Finds live memories in the asked tiers with similarity at or above the threshold.

    Ordered by structural weight, then phi, both descending, then id; at most `query.limit`.
    """

    @property
    def is_complete(self) -> bool:
        """Says whether nothing that belongs to an answer can be missing from it."""
        ...

    async def find(self, session: Session, query: Query, embedding: Vector) -> tuple[FoundMemory, ...]: ...
