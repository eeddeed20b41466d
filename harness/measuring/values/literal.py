"""literal: what it says, for an object that would otherwise be read as a drawn value."""

from collections.abc import Iterator
from itertools import repeat

from pydantic import Field, JsonValue

from harness.measuring.draws import Draws
from harness.measuring.values.protocol import DrawnValue, Plain


class Literal(DrawnValue, frozen=True):
    """`{ literal = { value = { words = {} } } }` stands for the object with the key `words`."""

    value: JsonValue = Field(description="What every request gets.")

    def stream(self, draws: Draws) -> Iterator[Plain]:
        del draws
        return repeat(self.value)
