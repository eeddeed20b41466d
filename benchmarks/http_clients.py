"""CPU time that two HTTP clients take per request, against a server in a process of its own."""

import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable

import aiohttp
import httpx
import uvicorn
from starlette.types import Receive, Scope, Send

PORT = 8765
URL = f"http://127.0.0.1:{PORT}/"
REQUESTS = 4_000
USERS = 50
QUESTION = {"query": "performance optimization", "limit": 20, "conversationId": "test-1"}
ANSWER = b'{"data": "' + b"x" * 5_000 + b'"}'


async def server(_scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(ANSWER))]})
    await send({"type": "http.response.body", "body": ANSWER})


def serve() -> None:
    uvicorn.run(server, port=PORT, log_level="critical", lifespan="off", loop="uvloop", http="httptools")


async def in_closed_loop(ask: Callable[[], Awaitable[bytes]]) -> None:
    left = iter(range(REQUESTS))

    async def use() -> None:
        for _ in left:
            assert await ask() == ANSWER

    await asyncio.gather(*(use() for _ in range(USERS)))


async def with_aiohttp() -> None:
    async with aiohttp.ClientSession() as session:

        async def ask() -> bytes:
            async with session.post(URL, json=QUESTION) as answer:
                return await answer.read()

        await in_closed_loop(ask)


async def with_httpx() -> None:
    async with httpx.AsyncClient() as client:

        async def ask() -> bytes:
            return (await client.post(URL, json=QUESTION)).content

        await in_closed_loop(ask)


def main() -> None:
    process = multiprocessing.Process(target=serve, daemon=True)
    process.start()
    time.sleep(2)
    for client in (with_aiohttp, with_httpx) * 3:
        cpu_s, elapsed_s = time.process_time(), time.perf_counter()
        asyncio.run(client())
        cpu_s, elapsed_s = time.process_time() - cpu_s, time.perf_counter() - elapsed_s
        print(f"{client.__name__}: {cpu_s / REQUESTS * 1e6:.0f} µs per request, {REQUESTS / elapsed_s:.0f} per second")
    process.terminate()


if __name__ == "__main__":
    main()
