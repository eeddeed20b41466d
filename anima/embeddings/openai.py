"""Embeddings from OpenAI, or from a server that speaks its HTTP interface."""

import httpx

from anima.embeddings.http_call import JsonEndpoint
from anima.embeddings.protocol import DIMENSIONS, Embedded, EmbeddingSettings
from anima.embeddings.vectors import validated
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
        answer = await self._endpoint.post({"model": self.model, "input": text, "dimensions": DIMENSIONS})
        match answer:
            case {"data": [{"embedding": components}]}:
                return Embedded(validated(components, provider=self.name), self.name)
            case _:
                raise self._endpoint.invalid("JSON without one `data[0].embedding`")

    async def aclose(self) -> None:
        await self._endpoint.aclose()
