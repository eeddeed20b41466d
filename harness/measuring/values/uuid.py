"""uuid: a random one for each request, as text."""

from collections.abc import Iterator
from uuid import UUID

from harness.measuring.draws import Draws
from harness.measuring.values.protocol import DrawnValue, Plain


class Uuid(DrawnValue, frozen=True):
    """A random UUID of version 4 for each request, as text."""

    def stream(self, draws: Draws) -> Iterator[Plain]:
        while True:
            yield str(UUID(int=sum(draws.index(2**32) << shift for shift in (0, 32, 64, 96)), version=4))
