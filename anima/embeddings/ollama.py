"""Embeddings from an Ollama server, over its HTTP interface."""

from collections.abc import Sequence

import httpx

from anima.embeddings.http_call import JsonEndpoint, batches
from anima.embeddings.protocol import Embedded, EmbeddingSettings, ProviderCalls


class OllamaEmbeddings:
    name = "ollama"
    model = "nomic-embed-text"

    def __init__(self, settings: EmbeddingSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._endpoint = JsonEndpoint(
            f"{settings.ollama_url}/api/embed",
            provider=self.name,
            advice=f"Start it with `ollama serve`, and fetch its model with `ollama pull {self.model}`.",
            settings=settings,
            # A proxy that the environment names is for the internet; this server is on the own network.
            client=httpx.AsyncClient(transport=transport, trust_env=False),
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
        match await self._endpoint.post({"model": self.model, "input": [*texts]}):
            case {"embeddings": [*vectors]} if len(vectors) == len(texts):
                return [self._endpoint.embedded(components) for components in vectors]
            case _:
                raise self._endpoint.invalid("JSON without one of `embeddings` for each text")
