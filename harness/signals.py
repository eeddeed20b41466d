"""The signals that end a run in order: Ctrl-C, a scheduler's SIGTERM, and SIGHUP, when its terminal is gone."""

import signal
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Final

SignalHandler = Callable[[int, FrameType | None], object]

ENDING: Final[Sequence[signal.Signals]] = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded() -> Sequence[signal.Signals]:
    """Those that end this process. `nohup` has it ignore SIGHUP; a shell ignores SIGINT in what it puts behind."""
    return [sent for sent in ENDING if sent != signal.SIGHUP or signal.getsignal(sent) != signal.SIG_IGN]


@contextmanager
def handled(by: SignalHandler | signal.Handlers) -> Generator[None]:
    """All that are heeded do this within the block."""
    previous = {sent: signal.signal(sent, by) for sent in heeded()}
    try:
        yield
    finally:
        for sent, handler in previous.items():
            signal.signal(sent, handler)


@contextmanager
def as_interrupts() -> Generator[None]:
    """Each comes as Ctrl-C does, which `asyncio.Runner` takes; also in a job that a shell put behind."""
    with handled(lambda _sent, _frame: signal.raise_signal(signal.SIGINT)):
        signal.signal(signal.SIGINT, signal.default_int_handler)
        yield


def ignored() -> AbstractContextManager[None]:
    """For the seconds in which the files of a run are written, which is over: its end is near anyway."""
    return handled(signal.SIG_IGN)
