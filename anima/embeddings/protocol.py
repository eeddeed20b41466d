"""The seam between a text and its vector."""

from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

DIMENSIONS: Final = 768

Vector = npt.NDArray[np.float32]
"""Shape (768,), finite, with a norm above zero."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A text's vector and who answered: a provider's name, or `cache`."""

    vector: Vector
    provider: str


class EmbeddingProvider(Protocol):
    """Turns a text into a vector.

    `embed` raises `EmbeddingUnavailable` when nobody answered in time, and `InvalidEmbedding` when the answer
    is not a finite, non-zero vector of 768 components. It never returns anything else.
    """

    @property
    def name(self) -> str: ...

    @property
    def model(self) -> str: ...

    async def embed(self, text: str) -> Embedded: ...

    async def aclose(self) -> None: ...
