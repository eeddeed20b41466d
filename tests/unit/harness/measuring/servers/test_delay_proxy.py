"""One connection through the delay proxy, by a clock that the test moves."""

import asyncio
import heapq
from collections.abc import Callable
from itertools import accumulate, count
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.measuring.servers.delay_proxy import DELAYED_BYTES_MAX, Cable, ClientEnd, Counters, End

DELAY_S = 0.010


class ManualLoop:
    """The parts of an event loop that an end uses; time stands still until it is told to pass."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.timers: list[tuple[float, int, Callable[[], None]]] = []
        self.number = count()

    def time(self) -> float:
        return self.now_s

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self.timers, (when, next(self.number), callback))

    def pass_until(self, when_s: float) -> None:
        while self.timers and self.timers[0][0] <= when_s:
            self.now_s, _, callback = heapq.heappop(self.timers)
            callback()
        self.now_s = when_s


class Wire(asyncio.Transport):
    """Notes what an end sends, and when."""

    def __init__(self, loop: ManualLoop) -> None:
        super().__init__()
        self.loop = loop
        self.sent: list[tuple[float, bytes | str]] = []
        self.reading = True
        self.closed = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent.append((self.loop.now_s, bytes(data)))

    def write_eof(self) -> None:
        self.sent.append((self.loop.now_s, "end"))

    def abort(self) -> None:
        self.closed = True
        self.sent.append((self.loop.now_s, "reset"))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading


class Connection:
    """A client's end and the upstream's, connected."""

    def __init__(self) -> None:
        self.loop = ManualLoop()
        loop = cast("asyncio.AbstractEventLoop", self.loop)
        self.counters, self.cable = Counters(), Cable()
        self.client = ClientEnd(loop, DELAY_S, self.cable, ("127.0.0.1", 1), self.counters)
        self.server = self.client.peer
        self.client_wire, self.server_wire = Wire(self.loop), Wire(self.loop)
        End.connection_made(self.client, self.client_wire)
        self.server.connection_made(self.server_wire)

    def say(self, speaker: End, data: bytes, at_s: float) -> None:
        self.loop.pass_until(at_s)
        speaker.data_received(data)


@pytest.fixture
def connection() -> Connection:
    return Connection()


@given(gaps_s=st.lists(st.floats(0, 3 * DELAY_S), min_size=1, max_size=30))
def test_each_chunk_arrives_exactly_one_delay_after_it_was_sent(gaps_s: list[float]) -> None:
    """However close they follow each other: they overlap on the way, and delays do not add up."""
    connection = Connection()
    times_s = list(accumulate(gaps_s))
    for number, at_s in enumerate(times_s):
        connection.say(connection.client, b"%d" % number, at_s)
    connection.loop.pass_until(times_s[-1] + 1)
    assert connection.server_wire.sent == [(at_s + DELAY_S, b"%d" % number) for number, at_s in enumerate(times_s)]


def test_what_is_on_its_way_while_the_cable_is_cut_arrives_in_order_when_it_is_mended(connection: Connection) -> None:
    connection.say(connection.client, b"before", 1.0)
    connection.cable.cut()
    connection.say(connection.client, b"after", 1.0 + DELAY_S / 2)
    connection.loop.pass_until(5.0)
    assert connection.server_wire.sent == []
    connection.cable.restore()
    connection.loop.pass_until(6.0)
    assert connection.server_wire.sent == [(5.0, b"before"), (5.0, b"after")]


def test_both_directions_are_delayed(connection: Connection) -> None:
    connection.say(connection.client, b"question", 1.0)
    connection.say(connection.server, b"answer", 1.5)
    connection.loop.pass_until(2.0)
    assert connection.server_wire.sent == [(1.0 + DELAY_S, b"question")]
    assert connection.client_wire.sent == [(1.5 + DELAY_S, b"answer")]


def test_the_end_of_one_direction_follows_its_data_and_leaves_the_other_open(connection: Connection) -> None:
    connection.say(connection.client, b"last", 0.0)
    assert connection.client.eof_received()
    connection.loop.pass_until(1.0)
    assert connection.server_wire.sent == [(DELAY_S, b"last"), (DELAY_S, "end")]
    connection.say(connection.server, b"still talking", 1.0)
    connection.loop.pass_until(2.0)
    assert connection.client_wire.sent == [(1.0 + DELAY_S, b"still talking")]
    assert not connection.client_wire.closed


def test_it_closes_when_both_have_ended(connection: Connection) -> None:
    connection.client.eof_received()
    connection.server.eof_received()
    connection.loop.pass_until(1.0)
    assert connection.client_wire.closed
    assert connection.server_wire.closed


def test_a_reset_is_passed_on_after_the_data_before_it(connection: Connection) -> None:
    connection.say(connection.server, b"half an answer", 0.0)
    connection.server.connection_lost(ConnectionResetError())
    connection.loop.pass_until(1.0)
    assert connection.client_wire.sent == [(DELAY_S, b"half an answer"), (DELAY_S, "reset")]


def test_nothing_is_written_to_an_end_that_is_gone(connection: Connection) -> None:
    connection.client_wire.abort()
    connection.say(connection.server, b"too late", 0.0)
    connection.loop.pass_until(1.0)
    assert connection.client_wire.sent == [(0.0, "reset")]


def test_a_sender_waits_while_too_much_is_under_way(connection: Connection) -> None:
    connection.say(connection.client, bytes(DELAYED_BYTES_MAX), 0.0)
    assert connection.client_wire.is_reading()
    connection.say(connection.client, b"x", 0.0)
    assert not connection.client_wire.is_reading()
    connection.loop.pass_until(DELAY_S)
    assert connection.client_wire.is_reading()


def test_a_sender_waits_while_its_receiver_does_not_read(connection: Connection) -> None:
    connection.server.pause_writing()
    assert not connection.client_wire.is_reading()
    connection.say(connection.client, b"x", 0.0)
    connection.loop.pass_until(1.0)
    assert not connection.client_wire.is_reading()
    connection.server.resume_writing()
    assert connection.client_wire.is_reading()


def test_a_direction_that_has_ended_is_not_read_again(connection: Connection) -> None:
    connection.client_wire.pause_reading()
    connection.client.eof_received()
    connection.server.pause_writing()
    connection.server.resume_writing()
    assert not connection.client_wire.is_reading()


@pytest.mark.parametrize(
    ("conversation", "round_trips"),
    [
        ("", 0),
        ("s", 0),
        ("c", 0),
        ("cs", 1),
        ("cscs", 2),
        ("cccs", 1),
        ("csss", 1),
        ("ccssccssc", 2),
    ],
)
def test_a_round_trip_is_an_answer(connection: Connection, conversation: str, round_trips: int) -> None:
    """Questions sent together are one; so are the parts of an answer; a farewell without an answer is none."""
    for second, speaker in enumerate(conversation):
        connection.say(connection.client if speaker == "c" else connection.server, b"x", float(second))
    connection.loop.pass_until(100.0)
    assert connection.counters.round_trips == round_trips


def test_a_round_trip_is_what_the_client_sees(connection: Connection) -> None:
    """It asks again while the first answer is on its way: two questions before an answer, one round trip."""
    connection.say(connection.client, b"x", 0.0)
    connection.say(connection.server, b"x", DELAY_S)
    connection.say(connection.client, b"x", 1.5 * DELAY_S)
    connection.loop.pass_until(1.0)
    connection.say(connection.server, b"x", 1.0)
    connection.loop.pass_until(2.0)
    assert connection.counters.round_trips == 1
    assert (connection.counters.bytes_to_server, connection.counters.bytes_to_client) == (2, 2)
