"""vector: a list of numbers in a random direction, as a search among embeddings asks with."""

from collections.abc import Iterator
from math import sqrt
from typing import Annotated

from pydantic import Field

from harness.measuring.draws import Draws
from harness.measuring.values.protocol import DrawnValue, Plain


class RandomVector(DrawnValue, frozen=True):
    """A list of numbers in a random direction and of length one, as a search among embeddings asks with."""

    dimensions: Annotated[int, Field(ge=1, le=16_000)]
    """How many numbers."""

    def stream(self, draws: Draws) -> Iterator[Plain]:
        while True:
            numbers = [2 * draws.fraction() - 1 for _ in range(self.dimensions)]
            length = sqrt(sum(number * number for number in numbers)) or 1.0
            yield [round(number / length, 6) for number in numbers]
