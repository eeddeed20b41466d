"""The body of a service's answer, as far as one is waited for."""

from typing import Final

import aiohttp

from harness.errors import TargetError

ANSWER_BYTES_MAX: Final = 64 * 2**20
TOO_LONG: Final = "answer too long"


async def body_of(answer: aiohttp.ClientResponse) -> bytes:
    """Raises `TargetError` for what no service answers: it would fill the memory of who measures."""
    parts = bytearray()
    async for part in answer.content.iter_any():
        parts += part
        if len(parts) > ANSWER_BYTES_MAX:
            answer.close()
            raise TargetError(TOO_LONG, f"{answer.url.path}: an answer of over {ANSWER_BYTES_MAX:,} bytes")
    return bytes(parts)
