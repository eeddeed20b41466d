"""sentences: a text of several sentences, as a note or a comment has them."""

from collections.abc import Iterator
from typing import Annotated, Final

from pydantic import Field

from harness.measuring.draws import Draws
from harness.measuring.values._shared.language import WORDS
from harness.measuring.values.protocol import DrawnValue, Plain

WORDS_MIN: Final = 5
WORDS_MAX: Final = 12


class Sentences(DrawnValue, frozen=True):
    """A text of several sentences, as a note has them, of English words without a meaning together."""

    count: Annotated[int, Field(ge=1, le=10_000)] = 2
    """How many sentences."""

    def stream(self, draws: Draws) -> Iterator[Plain]:
        while True:
            yield " ".join(_sentence(draws) for _ in range(self.count))


def _sentence(draws: Draws) -> str:
    words = [draws.pick(WORDS) for _ in range(WORDS_MIN + draws.index(WORDS_MAX - WORDS_MIN + 1))]
    return f"{' '.join(words).capitalize()}."
