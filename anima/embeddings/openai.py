"""Embeddings from OpenAI, or from a server that speaks its HTTP interface."""

from collections.abc import Sequence

import httpx
from pydantic import JsonValue

from anima.embeddings.http_call import JsonEndpoint, batches
from anima.embeddings.protocol import DIMENSIONS, Embedded, EmbeddingSettings, ProviderCalls
from anima.errors import InvalidInput


class OpenAIEmbeddings:
    name = "openai"
    model = "text-embedding-3-small"

    def __init__(self, settings: EmbeddingSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        if settings.openai_key is None:
            raise InvalidInput(
                "The embedding provider openai needs a key, and none is set. "
                "Set the key, or choose another provider: ollama (a local server) or hashing (offline)."
            )
        authorization = f"Bearer {settings.openai_key.get_secret_value()}"
        self._endpoint = JsonEndpoint(
            f"{settings.openai_url}/embeddings",
            provider=self.name,
            advice="Check the key, the address and the account's limits.",
            settings=settings,
            client=httpx.AsyncClient(headers={"Authorization": authorization}, transport=transport),
        )

    async def embed(self, text: str) -> Embedded:
        (embedded,) = await self._embed_batch([text])
        return embedded

    async def embed_many(self, texts: Sequence[str]) -> Sequence[Embedded]:
        return [embedded for batch in batches(texts) for embedded in await self._embed_batch(batch)]

    def server_calls(self) -> tuple[ProviderCalls, ...]:
        return (self._endpoint.calls(),)

    async def aclose(self) -> None:
        await self._endpoint.aclose()

    async def _embed_batch(self, texts: list[str]) -> list[Embedded]:
        match await self._endpoint.post({"model": self.model, "input": [*texts], "dimensions": DIMENSIONS}):
            case {"data": [*items]} if len(items) == len(texts):
                return [self._endpoint.embedded(_components(item, place)) for place, item in enumerate(items)]
            case _:
                raise self._endpoint.invalid("JSON without one of `data` for each text")


def _components(item: JsonValue, place: int) -> JsonValue:
    """The vector of the text at this place; None if the item is none, or another text's."""
    match item:
        case {"embedding": components, **rest} if rest.get("index", place) == place:
            return components
        case _:
            return None
