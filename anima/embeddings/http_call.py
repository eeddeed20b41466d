"""One JSON request to an embedding server: its time limit, its retries, its failures.

What the answer means is the business of the provider that asks.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, cast

import httpx
import stamina
from pydantic import JsonValue

from anima.embeddings.protocol import EmbeddingSettings
from anima.errors import EmbeddingUnavailable, InvalidEmbedding

TOO_MANY_REQUESTS: Final = 429
SERVER_ERRORS_FROM: Final = 500


class JsonEndpoint:
    """An address that answers a JSON object with JSON. It owns its connections, so it has to be closed.

    No message quotes what was sent or answered: either may hold a key, or a person's memories.
    `advice` is the sentence that ends each message: what to do next.
    """

    def __init__(
        self,
        url: str,
        *,
        provider: str,
        advice: str,
        settings: EmbeddingSettings,
        client: httpx.AsyncClient,
    ) -> None:
        self._url = url
        self._subject = f"The embedding provider {provider} at {_without_credentials(url)}"
        self._advice = advice
        self._timeout_s = settings.timeout_s
        self._client = client
        self._with_retries = stamina.AsyncRetryingCaller(
            attempts=settings.attempts, timeout=None, wait_initial=0.2, wait_jitter=0.2, wait_max=2.0
        ).on(_is_transient)

    async def post(self, body: Mapping[str, JsonValue]) -> JsonValue:
        """The decoded answer; raises `EmbeddingUnavailable`, or `InvalidEmbedding` if it is not JSON."""
        try:
            response = await self._with_retries(self._attempt, body)
        except TimeoutError as error:
            raise self._unavailable(f"did not answer within {self._timeout_s:g} s") from error
        except httpx.HTTPStatusError as error:
            raise self._unavailable(f"answered with HTTP status {error.response.status_code}") from None
        except httpx.TransportError as error:
            raise self._unavailable(f"could not be reached ({type(error).__name__})") from error
        except httpx.DecodingError as error:
            raise self.invalid("something that cannot be decompressed") from error
        return self._decoded(response)

    def invalid(self, what: str) -> InvalidEmbedding:
        return InvalidEmbedding(f"{self._subject} answered with {what}. {self._advice}")

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _attempt(self, body: Mapping[str, JsonValue]) -> httpx.Response:
        # httpx limits each wait for the socket, not their sum: a server that drips bytes never times out.
        async with asyncio.timeout(self._timeout_s):
            response = await self._client.post(self._url, json=body, timeout=None)
        return response.raise_for_status()

    def _decoded(self, response: httpx.Response) -> JsonValue:
        try:
            return cast("JsonValue", response.json())
        except (ValueError, RecursionError):
            content_type = response.headers.get("content-type", "no content type")
            raise self.invalid(f"something that is not JSON ({content_type})") from None

    def _unavailable(self, what: str) -> EmbeddingUnavailable:
        return EmbeddingUnavailable(f"{self._subject} {what}. {self._advice}")


def _is_transient(error: Exception) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return status >= SERVER_ERRORS_FROM or status == TOO_MANY_REQUESTS
    return isinstance(error, TimeoutError | httpx.TransportError)


def _without_credentials(url: str) -> str:
    return str(httpx.URL(url).copy_with(userinfo=b"", query=None))
