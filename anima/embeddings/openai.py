"""Embeddings from OpenAI, or from a server that speaks its HTTP interface."""

import time
from collections.abc import Callable, Sequence

import httpx
from pydantic import JsonValue

from anima.embeddings.http_call import Advice, JsonEndpoint, ServerEmbeddings, joined
from anima.embeddings.http_client import client_of
from anima.embeddings.protocol import DIMENSIONS, EmbeddingSettings
from anima.errors import InvalidInput


class OpenAIEmbeddings(ServerEmbeddings):
    name = "openai"
    model = "text-embedding-3-small"

    def __init__(
        self,
        settings: EmbeddingSettings,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if settings.openai_key is None:
            raise InvalidInput(
                "The embedding provider openai needs a key, and none is set. "
                "Set the key, or choose another provider: ollama (a local server) or hashing (offline)."
            )
        url = joined(settings.openai_url, "/embeddings")
        authorization = f"Bearer {settings.openai_key.get_secret_value()}"
        self._endpoint = JsonEndpoint(
            url,
            lambda texts: {"model": self.model, "input": [*texts], "dimensions": DIMENSIONS},
            provider=self.name,
            advice=Advice(
                away="Check ANIMA_OPENAI_URL and the network.",
                key="Check ANIMA_OPENAI_KEY.",
                quota="Its account has no quota left: add to it, or name another key in ANIMA_OPENAI_KEY.",
                model=f"Check that it serves {self.model} with {DIMENSIONS} dimensions, and that the key may use it.",
                address="Check ANIMA_OPENAI_URL: it ends where /embeddings begins, mostly in /v1.",
            ),
            settings=settings,
            client=client_of(url, proxied=True, headers={"Authorization": authorization}, transport=transport),
            clock=clock,
        )

    def _components(self, answer: JsonValue, number: int) -> Sequence[JsonValue]:
        match answer:
            case {"data": [*items]} if len(items) == number:
                by_place = {_place(item, position): item for position, item in enumerate(items)}
                return [_vector(by_place.get(place)) for place in range(number)]
            case _:
                raise self._endpoint.invalid("JSON without one of `data` for each text")


def _place(item: JsonValue, position: int) -> JsonValue:
    """Which text an item is of: the server may answer in another order, and says so, or numbers none."""
    match item:
        case {"index": int() | float() as place}:
            return place
        case _:
            return position


def _vector(item: JsonValue) -> JsonValue:
    match item:
        case {"embedding": components}:
            return components
        case _:
            return None
