"""zipf: a few values often and most seldom, as customers, products and questions are asked for."""

from collections.abc import Iterator
from typing import Annotated, Final, Self

from pydantic import Field, model_validator

from harness.measuring.draws import Draws, Weights
from harness.measuring.values._shared.choices import Choices
from harness.measuring.values.protocol import Plain

RANKS_MAX: Final = 1_000_000
"""Each has a weight of its own in memory."""


class Zipf(Choices, frozen=True):
    """A few values often and most seldom, as customers, products and questions are asked for.

    The value at rank r, counted from 1 in the order given, is drawn in proportion to 1 / r ** `exponent`.
    """

    exponent: Annotated[float, Field(gt=0, le=10)] = 1.0
    """How much more often the first ones are drawn than the others."""

    @model_validator(mode="after")
    def _few_enough(self) -> Self:
        if self.min is not None and self.max is not None and self.max - self.min >= RANKS_MAX:
            raise ValueError(f"a range for zipf has at most {RANKS_MAX:,} values; uniform takes any")
        return self

    def stream(self, draws: Draws) -> Iterator[Plain]:
        values = self.values
        weights = Weights.zipf(len(values), self.exponent)
        while True:
            yield values[weights.index(draws)]
