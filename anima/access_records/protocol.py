"""The axis of how accesses are recorded: count, recency, phi, conversation, log, promotion."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from anima.database import Session
from anima.model import Promotion


@dataclass(frozen=True, slots=True)
class Access:
    """The memories that one query returned, in any order, repeats allowed; each is accessed once."""

    memory_ids: Sequence[UUID]
    conversation_id: str | None
    at: datetime


class AccessRecords(Protocol):
    """Records one access of each memory that is still live; returns the promotions it caused, ordered by id.

    Rows are locked in the order of their ids, so that concurrent callers with overlapping memories cannot deadlock.
    """

    async def record(self, session: Session, access: Access) -> tuple[Promotion, ...]: ...
