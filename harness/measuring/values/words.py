"""words: a few words after each other, as a title or a search has them."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from harness.measuring.draws import Draws
from harness.measuring.values._shared.language import WORDS
from harness.measuring.values.protocol import DrawnValue, Plain


class Words(DrawnValue, frozen=True):
    """A few English words after each other, as a title or a search has them, in lower case and separated by blanks."""

    count: Annotated[int, Field(ge=1, le=10_000)] = 3
    """How many words."""

    def stream(self, draws: Draws) -> Iterator[Plain]:
        while True:
            yield " ".join(draws.pick(WORDS) for _ in range(self.count))
