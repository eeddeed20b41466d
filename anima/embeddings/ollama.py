"""Embeddings from an Ollama server, over its HTTP interface."""

import time
from collections.abc import Callable, Sequence

import httpx

from anima.embeddings.http_call import Advice, JsonEndpoint, batches, joined
from anima.embeddings.http_client import client_of
from anima.embeddings.protocol import Embedded, EmbeddingSettings, ProviderCalls


class OllamaEmbeddings:
    name = "ollama"
    model = "nomic-embed-text"

    def __init__(
        self,
        settings: EmbeddingSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        url = joined(settings.ollama_url, "/api/embed")
        address = "Check ANIMA_OLLAMA_URL: an Ollama that is not too old answers at /api/embed below it."
        self._endpoint = JsonEndpoint(
            url,
            lambda texts: {"model": self.model, "input": [*texts]},
            provider=self.name,
            advice=Advice(
                away="Start it with `ollama serve`, or say in ANIMA_OLLAMA_URL where it is.",
                key="Put the user and the password that it asks for into ANIMA_OLLAMA_URL.",
                quota="Its account has none left.",
                model=f"Fetch its model with `ollama pull {self.model}`.",
                address=address,
            ),
            settings=settings,
            # A proxy that the environment names is for the internet; this server is on the own network.
            client=client_of(url, proxied=False, transport=transport),
            clock=clock,
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
        match await self._endpoint.post(texts):
            case {"embeddings": [*vectors]} if len(vectors) == len(texts):
                return [self._endpoint.embedded(components) for components in vectors]
            case _:
                raise self._endpoint.invalid("JSON without one of `embeddings` for each text")
