"""The process of the delay proxy: forwards TCP connections and hands on each byte a fixed time after it came.

`network.py` runs it as a program that needs nothing but the standard library. Arguments: the descriptor of a
listening socket, the upstream's host and port, the one-way delay in seconds. Each line on standard input is
answered by one line of counters (JSON), after `cut` and `restore` have been done; it ends when standard input does.
"""

import asyncio
import json
import selectors
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Final, cast

DELAYED_BYTES_MAX: Final = 8 * 2**20
"""How much one direction of a connection holds back before its sender has to wait: 400 MB/s at 20 ms."""


@dataclass(slots=True)
class Counters:
    """Holds what has passed.

    A round trip ends with the server's first data after the client's, as the client sees it.
    """

    connections: int = 0
    round_trips: int = 0
    bytes_to_server: int = 0
    bytes_to_client: int = 0


class Cable:
    """Says what all connections share. While it is cut nothing gets through it, as through one that was pulled out."""

    def __init__(self) -> None:
        self.whole = asyncio.Event()
        self.whole.set()
        self.waiting: list[Callable[[], None]] = []

    def cut(self) -> None:
        self.whole.clear()

    def restore(self) -> None:
        """What was held back goes on, as TCP sends again what got lost."""
        self.whole.set()
        waiting, self.waiting = self.waiting, []
        for go_on in waiting:
            go_on()


class End(asyncio.Protocol):
    """One end of a connection. What it receives, `peer` sends on `delay_s` later, in the order in which it came.

    Each chunk is due at a time of its own, so any number are under way at once, as on a wire.
    """

    transport: asyncio.Transport
    peer: "End"

    def __init__(self, loop: asyncio.AbstractEventLoop, delay_s: float, cable: Cable) -> None:
        self.loop = loop
        self.delay_s = delay_s
        self.cable = cable
        self.delayed: deque[tuple[float, int, Callable[[], None]]] = deque()
        self.delayed_bytes = 0
        self.receives = True
        self.sends = True
        self.congested = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._delay(partial(self.peer.send, data), len(data))

    def eof_received(self) -> bool:
        self.receives = False
        self._delay(self.peer.finish)
        return True  # The other direction stays open.

    def connection_lost(self, exc: Exception | None) -> None:
        self.receives = False
        if exc is not None:
            self._delay(self.peer.abort)

    def pause_writing(self) -> None:
        self.congested = True
        self.peer.regulate()

    def resume_writing(self) -> None:
        self.congested = False
        self.peer.regulate()

    def send(self, data: bytes) -> None:
        if not self.transport.is_closing():
            self.transport.write(data)

    def finish(self) -> None:
        """Passes on that the other side has nothing more to say; the connection closes when neither has."""
        self.sends = False
        if self.peer.sends:
            self.transport.write_eof()
        else:
            self.transport.close()
            self.peer.transport.close()

    def abort(self) -> None:
        """Ends the connection at once, since the other side was reset."""
        self.transport.abort()

    def regulate(self) -> None:
        """Reads on only while there is room for what would come."""
        if not self.receives:
            return
        if self.peer.congested or self.delayed_bytes > DELAYED_BYTES_MAX:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def _delay(self, action: Callable[[], None], size_bytes: int = 0) -> None:
        self.delayed.append((self.loop.time() + self.delay_s, size_bytes, action))
        self.delayed_bytes += size_bytes
        self.regulate()
        if len(self.delayed) == 1:
            self.loop.call_at(self.delayed[0][0], self._act)

    def _act(self) -> None:
        """Does all that is due. The clock is read once, so a busy sender cannot keep it here."""
        if not self.cable.whole.is_set():
            self.cable.waiting.append(self._act)
            return
        now = self.loop.time()
        while self.delayed and self.delayed[0][0] <= now:
            _, size_bytes, action = self.delayed.popleft()
            self.delayed_bytes -= size_bytes
            action()
        self.regulate()
        if self.delayed:
            self.loop.call_at(self.delayed[0][0], self._act)


class ClientEnd(End):
    """The end that a client opened: connects the other one, and counts."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        delay_s: float,
        cable: Cable,
        upstream: tuple[str, int],
        counters: Counters,
    ) -> None:
        super().__init__(loop, delay_s, cable)
        self.peer = End(loop, delay_s, cable)
        self.peer.peer = self
        self.upstream = upstream
        self.counters = counters
        self.awaits_answer = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.counters.connections += 1
        # CPython 3.11.2, for one (Debian 12 has it), starts reading after this call, whatever was paused in it.
        self.loop.call_soon(self.transport.pause_reading)
        self.connecting = self.loop.create_task(self._connect())

    def data_received(self, data: bytes) -> None:
        self.awaits_answer = True
        self.counters.bytes_to_server += len(data)
        super().data_received(data)

    def send(self, data: bytes) -> None:
        self.counters.round_trips += self.awaits_answer
        self.awaits_answer = False
        self.counters.bytes_to_client += len(data)
        super().send(data)

    async def _connect(self) -> None:
        """The kernel has accepted the client at once; TCP's own round trip is added here."""
        await asyncio.sleep(2 * self.delay_s)
        await self.cable.whole.wait()
        try:
            await self.loop.create_connection(lambda: self.peer, *self.upstream)
        except OSError:
            self.abort()
        else:
            self.regulate()


async def serve(listener: socket.socket, upstream: tuple[str, int], delay_s: float) -> None:
    """Forwards connections and answers questions about them until standard input ends."""
    loop = asyncio.get_running_loop()
    counters, cable = Counters(), Cable()
    acts: dict[bytes, Callable[[], None]] = {b"cut\n": cable.cut, b"restore\n": cable.restore}
    questions = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(questions), sys.stdin)
    async with await loop.create_server(lambda: ClientEnd(loop, delay_s, cable, upstream, counters), sock=listener):
        while question := await questions.readline():
            if act := acts.get(question):
                act()
            sys.stdout.write(json.dumps(asdict(counters)) + "\n")
            sys.stdout.flush()


def event_loop() -> asyncio.AbstractEventLoop:
    """A loop whose timers have microseconds: the usual one sleeps whole milliseconds, more than a LAN's round trip.

    `select` in turn knows no descriptor above 1023, which makes some 500 connections.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def main() -> None:
    descriptor, host, port, delay_s = sys.argv[1:]
    with asyncio.Runner(loop_factory=event_loop) as runner:
        runner.run(serve(socket.socket(fileno=int(descriptor)), (host, int(port)), float(delay_s)))


if __name__ == "__main__":
    main()
