"""Which signals end a run, and what they do for the time of a block."""

import signal
from collections.abc import Iterator

import pytest

from harness.signals import ENDING, as_interrupts, handled, heeded, ignored


@pytest.fixture(autouse=True)
def as_they_were() -> Iterator[None]:
    before = {sent: signal.getsignal(sent) for sent in ENDING}
    yield
    for sent, handler in before.items():
        signal.signal(sent, handler)


def test_nohup_keeps_a_run_going_and_a_shells_background_does_not_keep_ctrl_c_out() -> None:
    for sent in ENDING:
        signal.signal(sent, signal.SIG_IGN)
    assert list(heeded()) == [signal.SIGINT, signal.SIGTERM]
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    assert list(heeded()) == list(ENDING)


@pytest.mark.parametrize("sent", ENDING)
def test_each_comes_as_ctrl_c_does(sent: signal.Signals) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with as_interrupts(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(sent)


def test_a_block_gives_back_what_was_there() -> None:
    came: list[int] = []
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    with handled(lambda sent, _: came.append(sent)):
        signal.raise_signal(signal.SIGTERM)
        with ignored():
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
    assert came == [signal.SIGTERM, signal.SIGHUP]
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
