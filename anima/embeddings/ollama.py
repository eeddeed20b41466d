"""Embeddings from an Ollama server, over its HTTP interface."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

import httpx
from pydantic import JsonValue

from anima.embeddings.http_call import Advice, JsonEndpoint, ServerEmbeddings, joined
from anima.embeddings.http_client import client_of
from anima.embeddings.protocol import EmbeddingSettings

MODEL: Final = "nomic-embed-text"
PRESENCE_TIMEOUT_S: Final = 2.0

Presence = Literal["away", "without_model", "ready"]


class OllamaEmbeddings(ServerEmbeddings):
    name = "ollama"
    model = MODEL

    def __init__(
        self,
        settings: EmbeddingSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        url = joined(settings.ollama_url, "/api/embed")
        self._tags_url = joined(settings.ollama_url, "/api/tags")
        # A proxy that the environment names is for the internet; this server is on the own network.
        self._client = client_of(url, proxied=False, transport=transport)
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
            client=self._client,
            clock=clock,
        )

    async def presence(self) -> Presence:
        """Says whether the server answers now, and has the model."""
        try:
            async with asyncio.timeout(PRESENCE_TIMEOUT_S):
                response = await self._client.get(self._tags_url, timeout=None)
            match response.json():
                case {"models": [*models]}:
                    return "ready" if any(map(self._is_model, models)) else "without_model"
                case _:
                    return "away"
        except (TimeoutError, httpx.HTTPError, ValueError):
            return "away"

    def _is_model(self, listed: object) -> bool:
        """Whatever its tag."""
        match listed:
            case {"name": str(name)}:
                return name.partition(":")[0] == self.model
            case _:
                return False

    def _components(self, answer: JsonValue, number: int) -> Sequence[JsonValue]:
        match answer:
            case {"embeddings": [*vectors]} if len(vectors) == number:
                return vectors
            case _:
                raise self._endpoint.invalid("JSON without one of `embeddings` for each text")
