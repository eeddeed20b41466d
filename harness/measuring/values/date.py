"""date: a day of a range, as 2026-03-01."""

import datetime as dt
from collections.abc import Iterator
from typing import Self

from pydantic import model_validator

from harness.measuring.draws import Draws
from harness.measuring.values.protocol import DrawnValue, Plain


class Date(DrawnValue, frozen=True):
    """A day of a range, as 2026-03-01; each is as likely, and both ends belong to the range."""

    min: dt.date = dt.date(2026, 1, 1)
    """The first day."""
    max: dt.date = dt.date(2026, 12, 31)
    """The last day."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is {self.min}, which is after max, {self.max}. Exchange them")
        return self

    def stream(self, draws: Draws) -> Iterator[Plain]:
        days = (self.max - self.min).days + 1
        while True:
            yield (self.min + dt.timedelta(days=draws.index(days))).isoformat()

    @property
    def is_one_value(self) -> bool:
        return self.min == self.max
