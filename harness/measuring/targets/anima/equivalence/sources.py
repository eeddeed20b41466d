"""The time and the ids that every side of a comparison gets, the same for each."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Final
from uuid import UUID

STARTED_AT: Final = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class ScriptClock:
    """Moves only when somebody moves it."""

    now: datetime = STARTED_AT

    def __call__(self) -> datetime:
        return self.now

    def restart(self) -> None:
        self.now = STARTED_AT


@dataclass(slots=True)
class Ids:
    """The same ids in the same order for whoever asks. Their own order is another: it does not tell which is older."""

    count: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self) -> UUID:
        return UUID(bytes=blake2b(next(self.count).to_bytes(8), digest_size=16).digest())

    def restart(self) -> None:
        self.count = itertools.count()
