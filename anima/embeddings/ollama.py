"""Embeddings from an Ollama server, over its HTTP interface."""

import httpx

from anima.embeddings.http_call import JsonEndpoint
from anima.embeddings.protocol import Embedded, EmbeddingSettings
from anima.embeddings.vectors import validated


class OllamaEmbeddings:
    name = "ollama"
    model = "nomic-embed-text"

    def __init__(self, settings: EmbeddingSettings, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._endpoint = JsonEndpoint(
            f"{settings.ollama_url}/api/embeddings",
            provider=self.name,
            advice=f"Start it with `ollama serve`, and fetch its model with `ollama pull {self.model}`.",
            settings=settings,
            # A proxy that the environment names is for the internet; this server is on the own network.
            client=httpx.AsyncClient(transport=transport, trust_env=False),
        )

    async def embed(self, text: str) -> Embedded:
        answer = await self._endpoint.post({"model": self.model, "prompt": text})
        match answer:
            case {"embedding": components}:
                return Embedded(validated(components, provider=self.name), self.name)
            case _:
                raise self._endpoint.invalid("JSON without an `embedding`")

    async def aclose(self) -> None:
        await self._endpoint.aclose()
