"""An embedding provider that tests steer."""

import asyncio
from collections.abc import Sequence
from typing import Final

from anima.embeddings.hashing import hashed_vector
from anima.embeddings.protocol import Embedded, ProviderCalls

TEXT: Final = "A  caf\u00e9 on the Strasse, today"
VARIANTS: Final = (
    f" {TEXT}",
    f"{TEXT}\n",
    TEXT.replace("  ", " "),
    TEXT.lower(),
    TEXT.replace("ss", "\u00df"),
    TEXT.replace("\u00e9", "e\u0301"),
    TEXT.replace("\u00e9", "e"),
    TEXT.replace("A", "\uff21"),
    TEXT.replace(",", ""),
    f"{TEXT}\u200b",
    f"{TEXT}{' and so on' * 1_000}",
)
"""What some normalisation takes for the same text: blanks, case, composition, compatibility, marks, a cut."""


class CountedProvider:
    """Notes the texts that it is asked for, and answers once `open` is set, or fails with `failure`."""

    def __init__(self, name: str = "counted", failure: Exception | None = None) -> None:
        self.name = name
        self.model = f"model of {name}"
        self.failure = failure
        self.texts: list[str] = []
        self.open = asyncio.Event()
        self.open.set()
        self.closed = False

    async def embed(self, text: str) -> Embedded:
        self.texts.append(text)
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return Embedded(hashed_vector(text), self.name)

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [await self.embed(text) for text in texts]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        """Fails as it would with a text, for who has several to close."""
        self.closed = True
        if self.failure is not None:
            raise self.failure
