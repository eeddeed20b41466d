"""A provider that is set up wrongly, in the place of one that may never be asked."""

from collections.abc import Sequence
from typing import NoReturn

from anima.embeddings.protocol import Embedded, ProviderCalls
from anima.errors import EmbeddingMisconfigured


class UnusableEmbeddings:
    """Fails when it is asked, with the reason for which it could not be made."""

    model = "none"

    def __init__(self, name: str, reason: str) -> None:
        self.name = name
        self._reason = reason

    async def embed(self, text: str) -> Embedded:
        del text
        self._fail()

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        del texts
        self._fail()

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return ()

    async def aclose(self) -> None:
        """Holds nothing that has to be closed."""

    def _fail(self) -> NoReturn:
        raise EmbeddingMisconfigured(self._reason)
