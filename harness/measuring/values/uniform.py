"""uniform: each value as likely as any other."""

from collections.abc import Iterator

from harness.measuring.draws import Draws
from harness.measuring.values._shared.choices import Choices
from harness.measuring.values.protocol import Plain


class Uniform(Choices, frozen=True):
    """Each value as likely as any other.

    A range of whole numbers contains both of its ends; one with a fraction in it gives fractions.
    """

    def stream(self, draws: Draws) -> Iterator[Plain]:
        if isinstance(self.min, float) or isinstance(self.max, float):
            low, high = self.min or 0, self.max or 0
            while True:
                yield low + (high - low) * draws.fraction()
        values = self.values
        while True:
            yield draws.pick(values)
