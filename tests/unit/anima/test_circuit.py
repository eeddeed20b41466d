"""When a server is left alone, and when and by whom it is tried again."""

import asyncio
import contextlib

import pytest

from anima.circuit import CircuitBreaker, CircuitOpen, CircuitState


class Down(Exception):
    pass


class Refused(Exception):
    pass


class Server:
    """A circuit that opens for 10 s after 3 failures, and a clock that moves when a test moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.circuit = CircuitBreaker("The server", failures_max=3, open_s=10.0, clock=lambda: self.now_s)

    def state(self) -> CircuitState:
        return self.circuit.state

    def call(self, error: BaseException | None = None) -> None:
        with self.circuit.call(Down):
            if error is not None:
                raise error

    def fail(self, times: int = 1) -> None:
        for _ in range(times):
            with pytest.raises(Down):
                self.call(Down())


@pytest.fixture
def server() -> Server:
    return Server()


def assert_left_alone(server: Server, remaining_s: float) -> None:
    with pytest.raises(CircuitOpen) as rejection:
        server.call()
    assert rejection.value.retry_after_s == remaining_s
    with pytest.raises(CircuitOpen):
        server.circuit.check()


def test_failures_in_a_row_open_it_and_it_says_for_how_long(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.fail(times=2)
    assert server.state() == "closed"
    server.fail()
    assert server.state() == "open"
    server.now_s += 4.0
    assert_left_alone(server, 6.0)
    assert caplog.messages == ["The server is left alone for 10 s. Failures in a row: 3; the last: Down"]


@pytest.mark.parametrize("answer", [None, Refused()], ids=["success", "refusal"])
def test_an_answer_begins_a_new_row(server: Server, answer: Refused | None) -> None:
    server.fail(times=2)
    with contextlib.suppress(Refused):
        server.call(answer)
    server.fail(times=2)
    assert server.state() == "closed"


def test_after_its_time_one_call_tries_the_server_while_the_others_are_turned_away(server: Server) -> None:
    server.fail(times=3)
    server.now_s += 10.0
    assert server.state() == "half_open"
    with server.circuit.call(Down):
        assert server.state() == "half_open"
        assert_left_alone(server, 0.0)
    assert server.state() == "closed"
    server.call()


def test_a_failed_trial_opens_it_for_the_whole_time_again(server: Server) -> None:
    server.fail(times=3)
    server.now_s += 10.0
    server.fail()
    assert_left_alone(server, 10.0)


def test_a_cancelled_trial_leaves_the_next_call_to_try(server: Server) -> None:
    server.fail(times=3)
    server.now_s += 10.0
    with pytest.raises(asyncio.CancelledError):
        server.call(asyncio.CancelledError())
    server.call()
    assert server.state() == "closed"


@pytest.mark.parametrize("end", [None, Down()], ids=["answer", "failure"])
def test_what_began_before_it_opened_neither_closes_it_nor_keeps_it_open_longer(
    server: Server, end: Down | None
) -> None:
    early = server.circuit.call(Down)
    early.__enter__()
    server.fail(times=3)
    server.now_s += 4.0
    early.__exit__(type(end) if end else None, end, None)
    assert_left_alone(server, 6.0)
