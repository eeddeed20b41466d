"""The kinds of background work: what each piece says, how many workers do it, and what does it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from anima.database import Session


class Work(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RecordCoOccurrence(Work):
    kind: Literal["co_occurrence"] = "co_occurrence"
    memory_ids: tuple[UUID, ...]
    conversation_id: str
    at: datetime


class Consolidate(Work):
    kind: Literal["consolidation"] = "consolidation"
    memory_id: UUID
    at: datetime


class DetectCatalyst(Work):
    kind: Literal["catalyst_detection"] = "catalyst_detection"
    memory_id: UUID
    at: datetime


AnyWork = RecordCoOccurrence | Consolidate | DetectCatalyst
WORK: Final[TypeAdapter[AnyWork]] = TypeAdapter(Annotated[AnyWork, Field(discriminator="kind")])

LANES: Final[Mapping[str, int]] = {"consolidation": 1, "catalyst_detection": 6, "co_occurrence": 8}
"""Each kind's workers in one process, at most: a piece of work waits for seven round trips, and is to keep up with
requests that wait for five. Consolidation has one: it goes in the order of acceptance, as it does inline.
"""

POOL_SHARE_MAX: Final = 4
"""Of a smaller pool, a kind's workers use no more than one connection in four."""

AT_ONCE_MAX: Final = 8
"""Pieces that a worker of one kind claims together, where a handler takes several: it spares them round trips, but what
they lock stays locked until the last is done."""

Handler = Callable[[Session, AnyWork], Awaitable[Sequence[AnyWork]]]
"""Does the work in the session's transaction, and returns what is to be done after all that is queued now."""

BatchHandler = Callable[[Session, Sequence[AnyWork]], Awaitable[Sequence[AnyWork]]]
"""The same for several pieces of one kind, in their order."""

current_kind: ContextVar[str | None] = ContextVar("current_kind", default=None)
"""The kind of work that the current task does, for observers; None in a request."""
