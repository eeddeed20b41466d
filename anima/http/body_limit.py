"""No request's body may grow beyond a limit, whether it says its size before or comes in chunks."""

from dataclasses import dataclass
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_BYTES_MAX: Final = 1_048_576
"""The contract's longest content is 50,000 characters, and JSON may escape each with twelve bytes."""


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """What is read beyond the limit is refused with 413, and the connection closed: the rest of it stays unread."""

    app: ASGIApp
    bytes_max: int = BODY_BYTES_MAX

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        read_bytes = 0

        async def receive_within() -> Message:
            nonlocal read_bytes
            if declared.isdecimal() and int(declared) > self.bytes_max:
                raise self._too_large()
            message = await receive()
            read_bytes += len(message.get("body", b""))
            if read_bytes > self.bytes_max:
                raise self._too_large()
            return message

        await self.app(scope, receive_within, send)

    def _too_large(self) -> HTTPException:
        detail = f"The body is larger than {self.bytes_max:,} bytes."
        return HTTPException(413, detail, {"Connection": "close"})
