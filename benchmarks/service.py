"""What the HTTP layer of a running service costs: `python benchmarks/service.py http://127.0.0.1:7100`.

Prints the rate of bare `GET /health`, and how much longer a client waits for a query than the service's own call of the
memory system takes (`meta.queryTime`). The client is a bare protocol, so that it costs little beside the service; what
it costs is still part of both figures. For stated load and verdicts there is `harness run`.
"""

import asyncio
import json
import statistics
import sys
import time
from functools import partial
from typing import Final
from urllib.parse import urlsplit

HEALTH_REQUEST: Final = b"GET /health HTTP/1.1\r\nHost: service\r\n\r\n"
QUERY_HEAD: Final = b"POST /api/v1/memories/query HTTP/1.1\r\nHost: service\r\nContent-Length: %d\r\n\r\n"
HEALTH_SECONDS: Final = 5.0
CONNECTIONS: Final = 16
QUERIES: Final = 500


class Repeater(asyncio.Protocol):
    """Sends a request again as soon as its answer, of a known size, is there."""

    def __init__(self, answer_bytes: int) -> None:
        self.answers = 0
        self._answer_bytes = answer_bytes
        self._received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(HEALTH_REQUEST)

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        if self._received == self._answer_bytes:
            self._received = 0
            self.answers += 1
            self._transport.write(HEALTH_REQUEST)

    def stop(self) -> None:
        self._transport.close()


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer."""
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return head, await reader.readexactly(length)


async def health_rate(host: str, port: int) -> float:
    """Answers per second."""
    reader, writer = await asyncio.open_connection(host, port)
    answer_bytes = sum(map(len, await exchange(reader, writer, HEALTH_REQUEST)))
    writer.close()
    loop = asyncio.get_running_loop()
    connect = partial(loop.create_connection, partial(Repeater, answer_bytes), host, port)
    repeaters = [(await connect())[1] for _ in range(CONNECTIONS)]
    before, started = sum(each.answers for each in repeaters), time.perf_counter()
    await asyncio.sleep(HEALTH_SECONDS)
    rate: float = (sum(each.answers for each in repeaters) - before) / (time.perf_counter() - started)
    for repeater in repeaters:
        repeater.stop()
    return rate


async def query_overheads_ms(host: str, port: int) -> list[float]:
    """Per request, the client's wait less the service's own call."""
    body = json.dumps({"query": "performance optimization", "conversationId": "benchmark"}).encode()
    request = b"POST /api/v1/memories/query HTTP/1.1\r\nHost: service\r\nContent-Length: %d\r\n\r\n%s" % (
        len(body),
        body,
    )
    reader, writer = await asyncio.open_connection(host, port)
    overheads_ms = []
    for _ in range(QUERIES):
        started = time.perf_counter()
        _, answer = await exchange(reader, writer, request)
        waited_ms = (time.perf_counter() - started) * 1000
        overheads_ms.append(waited_ms - json.loads(answer)["meta"]["queryTime"])
    writer.close()
    return overheads_ms


async def main(url: str) -> None:
    parts = urlsplit(url)
    assert parts.hostname is not None
    host, port = parts.hostname, parts.port or 80
    print(f"GET /health: {await health_rate(host, port):,.0f} requests/s")
    quantiles = statistics.quantiles(await query_overheads_ms(host, port), n=20)
    print(f"HTTP layer around a query: p50 {quantiles[9]:.2f} ms, p95 {quantiles[18]:.2f} ms")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
