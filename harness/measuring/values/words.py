"""words: a few words after each other, as a title or a search has them."""

from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from harness.measuring.draws import Draws
from harness.measuring.values._shared.language import WORDS
from harness.measuring.values.protocol import DrawnValue, Plain


class Words(DrawnValue, frozen=True):
    """English words, in lower case and separated by blanks."""

    count: Annotated[int, Field(ge=1, le=10_000, description="How many words.")] = 3

    def stream(self, draws: Draws) -> Iterator[Plain]:
        while True:
            yield " ".join(draws.pick(WORDS) for _ in range(self.count))
