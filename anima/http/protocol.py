"""uvicorn's HTTP protocol with a limit on how long a client may take to send a request.

uvicorn limits only the pause between two requests of a connection: a client that opens one and sends a byte now and
then (slow loris) would hold it forever.
"""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_TIMEOUT_S: Final = 30.0


class TimedHttpProtocol(HttpToolsProtocol):
    """Closes a connection whose request is not complete `request_timeout_s` after its connection or its first byte."""

    request_timeout_s = REQUEST_TIMEOUT_S

    def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 -- uvicorn's
        super().__init__(*arguments, **options)
        self._request_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_request()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        self._forget_request()
        self._expect_request()
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self._forget_request()
        super().on_message_complete()

    def _expect_request(self) -> None:
        self._request_deadline = self.loop.call_later(self.request_timeout_s, self.transport.close)

    def _forget_request(self) -> None:
        if self._request_deadline is not None:
            self._request_deadline.cancel()
            self._request_deadline = None
