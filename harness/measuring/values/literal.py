"""literal: what it says, for an object that would otherwise be read as a drawn value."""

from collections.abc import Iterator
from itertools import repeat

from pydantic import JsonValue

from harness.measuring.draws import Draws
from harness.measuring.values.protocol import DrawnValue, Plain


class Literal(DrawnValue, frozen=True):
    """Stands for what it says, for an object that would otherwise be read as a drawn value.

    `{ literal = { value = { words = {} } } }` stands for the object with the key `words`.
    """

    value: JsonValue
    """What every request gets."""

    def stream(self, draws: Draws) -> Iterator[Plain]:
        del draws
        return repeat(self.value)
