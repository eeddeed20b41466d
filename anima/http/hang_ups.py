"""Work that ends when its client has gone: its transaction rolls back, and its connection is free again."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive

Answered = TypeVar("Answered")


async def unless_client_leaves(request: Request, work: Coroutine[Any, Any, Answered]) -> Answered:
    """Raises `ClientDisconnect` when the client leaves first. The request's body has been read before."""
    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(until_client_leaves(request.receive))
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for waited in (task, watch):
            waited.cancel()
        await asyncio.gather(task, watch, return_exceptions=True)


async def until_client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
