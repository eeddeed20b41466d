"""timestamp: a moment of a range, to the second, as 2026-03-01T12:00:00+00:00."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, model_validator

from harness.measuring.draws import Draws
from harness.measuring.values.protocol import DrawnValue, Plain


def _in_utc(moment: datetime) -> datetime:
    """One without a zone is meant so."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Timestamp(DrawnValue, frozen=True):
    """A second of a range, as 2026-03-01T12:00:00+00:00; each is as likely, and both ends belong to the range.

    A moment without a zone is in UTC.
    """

    min: Annotated[datetime, AfterValidator(_in_utc)] = datetime(2026, 1, 1, tzinfo=UTC)
    """The first moment."""
    max: Annotated[datetime, AfterValidator(_in_utc)] = datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)
    """The last moment."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is {self.min}, which is after max, {self.max}. Exchange them")
        return self

    def stream(self, draws: Draws) -> Iterator[Plain]:
        seconds = int((self.max - self.min).total_seconds()) + 1
        while True:
            yield (self.min + timedelta(seconds=draws.index(seconds))).isoformat()

    @property
    def is_one_value(self) -> bool:
        return self.min == self.max
