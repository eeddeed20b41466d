"""sequence: one number after another, so that none occurs twice in a round."""

from collections.abc import Iterator
from itertools import count

from harness.measuring.draws import Draws
from harness.measuring.values.protocol import DrawnValue, Plain


class Sequence(DrawnValue, frozen=True):
    """One number after another, so that none occurs twice in a round.

    Every round begins with `start` again, on a database of its own.
    """

    start: int = 1
    """The first number."""
    step: int = 1
    """What each further one is more."""

    def stream(self, draws: Draws) -> Iterator[Plain]:
        del draws
        return count(self.start, self.step)

    @property
    def is_one_value(self) -> bool:
        return self.step == 0
